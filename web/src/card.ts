// The parts of a model's card that the page computes with; the same definitions as in `lvunet/card.py`.

export interface Card {
  name: string;
  threshold: number;
  /** Knots (soft Dice, Dice), both rising; empty where the model was not calibrated. */
  quality: readonly (readonly [number, number])[];
  empty_dice: number;
  intended_use: string;
  version: string;
}

/** What one pass over a probability gives for a threshold. */
export interface Sums {
  /** Pixels whose probability reaches the threshold. */
  area_px: number;
  /** Sum of the probability over them. */
  overlap: number;
  /** Sum of the squared probability over all pixels. */
  squares: number;
}

export function sums(probability: Float32Array, threshold: number): Sums {
  const least = Math.fround(threshold); // NumPy compares in float32
  let area_px = 0;
  let overlap = 0;
  let squares = 0;
  for (let at = 0; at < probability.length; at++) {
    const p = probability[at];
    squares += p * p;
    if (p >= least) {
      area_px++;
      overlap += p;
    }
  }
  return { area_px, overlap, squares };
}

/** How sure the probability is of its own mask, 0 to 1: 2 sum(p m) / (sum(p^2) + sum(m)); null for an empty mask. */
export function softDice({ area_px, overlap, squares }: Sums): number | null {
  return area_px === 0 ? null : (2 * overlap) / (squares + area_px);
}

/** The Dice that masks of this soft Dice had on validation images; null for a model that was not calibrated. */
export function expectedDice(card: Card, soft: number | null): number | null {
  if (card.quality.length === 0) return null;
  if (soft === null) return card.empty_dice;
  let [x0, y0] = [0, 0];
  for (const [x1, y1] of card.quality) {
    if (soft < x1) return y0 + ((soft - x0) * (y1 - y0)) / (x1 - x0);
    [x0, y0] = [x1, y1];
  }
  return y0;
}
