// The camera: one frame at a time on its way through the model, the frames in between dropped, none queued.
import { cameraFailure, Failure } from "./errors";
import { Median, Pace } from "./pace";

const SEEN = 512; // pixels of the longer side that are sent: the network itself sees 256

export interface Live {
  /** Frames outlined, and frames of the camera that were passed over. */
  frames: number;
  dropped: number;
  fps: number;
  latency_ms: number;
}

/** Sends each frame that there is time for to `outline`, which resolves when it is on the screen. */
export class Camera {
  #stream: MediaStream | null = null;
  #busy = false;
  #turn = 0;
  #pace = new Pace();
  #latency = new Median();
  live: Live | null = null;

  constructor(
    readonly video: HTMLVideoElement,
    readonly outline: (frame: ImageBitmap) => Promise<void>,
    readonly failed: (error: unknown) => void,
  ) {}

  /** Starts a camera, by default one that looks away from the user; false if it was asked again, or stopped, meanwhile. */
  async start(device = ""): Promise<boolean> {
    if (!navigator.mediaDevices) throw new Failure("cameraInsecure");
    this.stop();
    const turn = ++this.#turn;
    const which = device ? { deviceId: { exact: device } } : { facingMode: "environment" };
    try {
      const video = { ...which, width: { ideal: 1280 }, height: { ideal: 720 } };
      const stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
      if (turn !== this.#turn) {
        end(stream);
        return false;
      }
      this.#stream = this.video.srcObject = stream;
      await this.video.play();
      if (turn !== this.#turn) return false;
    } catch (error) {
      if (turn !== this.#turn) return false;
      this.stop();
      throw cameraFailure(error);
    }
    this.#stream.getVideoTracks()[0]?.addEventListener("ended", () => this.failed(new Failure("cameraBusy")));
    this.#pace = new Pace();
    this.#latency = new Median();
    this.live = { frames: 0, dropped: 0, fps: Number.NaN, latency_ms: Number.NaN };
    this.#next(this.#stream);
    return true;
  }

  stop(): void {
    this.#turn++;
    if (this.#stream) end(this.#stream);
    this.#stream = null;
    this.video.srcObject = null;
    this.live = null;
  }

  get device(): string {
    return this.#stream?.getVideoTracks()[0]?.getSettings().deviceId ?? "";
  }

  /** The present frame, at the camera's own size, as a PNG. */
  async still(): Promise<Blob> {
    const { videoWidth, videoHeight } = this.video;
    const canvas = new OffscreenCanvas(videoWidth, videoHeight);
    (canvas.getContext("2d") as OffscreenCanvasRenderingContext2D).drawImage(this.video, 0, 0);
    return canvas.convertToBlob({ type: "image/png" });
  }

  #next(stream: MediaStream): void {
    const seen = () => {
      if (stream !== this.#stream) return;
      this.#next(stream);
      void this.#frame();
    };
    if ("requestVideoFrameCallback" in this.video) this.video.requestVideoFrameCallback(seen);
    else requestAnimationFrame(seen);
  }

  async #frame(): Promise<void> {
    const { live } = this;
    if (!live || !this.video.videoWidth) return;
    if (this.#busy) {
      live.dropped++;
      return;
    }
    this.#busy = true;
    const start = performance.now();
    try {
      await this.outline(await createImageBitmap(this.video, reduced(this.video)));
      live.frames++;
      this.#latency.add(performance.now() - start);
      this.#pace.tick(performance.now());
      live.fps = this.#pace.fps;
      live.latency_ms = this.#latency.value;
    } catch (error) {
      if (this.live === live) this.failed(error);
    } finally {
      this.#busy = false;
    }
  }
}

function end(stream: MediaStream): void {
  for (const track of stream.getTracks()) track.stop();
}

function reduced({ videoWidth, videoHeight }: HTMLVideoElement): ImageBitmapOptions {
  const scale = Math.min(1, SEEN / Math.max(videoWidth, videoHeight));
  return {
    resizeWidth: Math.round(videoWidth * scale),
    resizeHeight: Math.round(videoHeight * scale),
    resizeQuality: "medium",
  };
}
