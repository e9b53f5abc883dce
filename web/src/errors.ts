// Everything that can go wrong, each as a sentence that says what to do.

const SENTENCES = {
  notImage: "This file is not an image that the browser can read. Choose a JPEG, PNG, WebP or DICOM file.",
  empty: "This file is empty. Choose another image.",
  tiff: "Browsers cannot read TIFF images. Save it as PNG or JPEG, then open that.",
  deep: "Browsers keep only 8 of the 16 bits of this PNG. Save it with 8 bits, or as DICOM, then open that.",
  tooLarge: "This image is larger than 40 megapixels, which is more than a browser can hold safely. Crop or shrink it.",
  tooLong: "This image is longer than 32,000 pixels on a side, which browsers cannot draw. Crop or shrink it.",
  brokenDicom: "This DICOM file is damaged or incomplete. Export it again, or choose another.",
  dicomWithoutPixels: "This DICOM file holds no image. Choose one that does.",
  dicomSyntax: "This DICOM file is compressed in a way that browsers cannot read. Save it uncompressed first.",
  cameraDenied: "The camera is blocked. Allow it for this page in the browser's settings, then start it again.",
  cameraNone: "No camera was found. Connect one, or choose an image.",
  cameraBusy: "The camera is in use by another program. Close that, then start it again.",
  cameraInsecure:
    "The camera works only on a secure address (https, or localhost). Open the page there, or choose an image.",
  cameraFailed: "The camera did not start. Try it again, or choose an image.",
  wasmBlocked: "WebAssembly is blocked here, and the model needs it. Allow it in the browser, or use another browser.",
  memory: "The device ran out of memory. The model was restarted: close other tabs, or choose a smaller image.",
  noMemory: "The device has too little memory for the model. Close other tabs, then reload the page.",
  modelDamaged: "The model arrived damaged and was not used. Reload the page.",
  modelMissing: "The model could not be loaded. Connect to the network once, then reload the page.",
  modelFailed: "The model could not read this image. Choose another, or reload the page.",
  workerLost: "The model stopped and was restarted. Try the image again.",
  notSaved: "The file could not be made. Try it again, or choose a smaller image.",
} as const;

export type ErrorCode = keyof typeof SENTENCES;

/** A failure with a sentence for people; `detail` replaces the sentence where it can be more precise. */
export class Failure extends Error {
  constructor(
    readonly code: ErrorCode,
    readonly detail = "",
  ) {
    super(detail || SENTENCES[code]);
  }
}

/** The failure that an unknown error means; `otherwise` if it is not known. */
export function failureOf(error: unknown, otherwise: ErrorCode): Failure {
  if (error instanceof Failure) return error;
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  if (/memory|bad_alloc|allocat|OOM/i.test(text)) return new Failure("memory");
  if (/wasm|WebAssembly|no available backend/i.test(text)) return new Failure("wasmBlocked");
  return new Failure(otherwise);
}

const CAMERA: Record<string, ErrorCode> = {
  NotAllowedError: "cameraDenied",
  SecurityError: "cameraDenied",
  NotFoundError: "cameraNone",
  OverconstrainedError: "cameraNone",
  NotReadableError: "cameraBusy",
  AbortError: "cameraBusy",
};

export function cameraFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  return new Failure(CAMERA[error instanceof DOMException ? error.name : ""] ?? "cameraFailed");
}
