// How fast and how steady: medians over the last frames, which one slow frame does not move.

const WINDOW = 60; // frames

export class Median {
  #values: number[] = [];

  add(value: number): void {
    this.#values.push(value);
    if (this.#values.length > WINDOW) this.#values.shift();
  }

  /** The median of the last 60 values; NaN before the first. */
  get value(): number {
    const sorted = this.#values.toSorted((a, b) => a - b);
    const middle = sorted.length >> 1;
    return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }
}

/** Frames a second from the times, in ms, at which they were shown. */
export class Pace {
  #between = new Median();
  #before = Number.NaN;

  tick(now_ms: number): void {
    if (!Number.isNaN(this.#before)) this.#between.add(now_ms - this.#before);
    this.#before = now_ms;
  }

  get fps(): number {
    return 1000 / this.#between.value;
  }
}
