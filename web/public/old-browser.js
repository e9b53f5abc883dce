// Runs in any browser, modules or not: says so where the page cannot run, instead of nothing.
(function () {
  var simd = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];
  var needed = ["Worker", "OffscreenCanvas", "createImageBitmap", "DecompressionStream", "Promise"];
  var old = !("noModule" in document.createElement("script")) || !Array.prototype.toSorted;
  for (var at = 0; at < needed.length; at++) if (!(needed[at] in window)) old = true;
  var blocked = typeof WebAssembly !== "object";
  if (!blocked && !old) old = !WebAssembly.validate(new Uint8Array(simd));
  var sentence = "";
  if (old) sentence = "This browser is too old for the model. Update it, or use a current Chrome, Edge, Firefox or Safari.";
  else if (blocked) sentence = "WebAssembly is blocked here, and the model needs it. Allow it, or use another browser.";
  else if (!window.isSecureContext) sentence = "Browsers run this page only on a secure address: https, or localhost. Open it there.";
  if (!sentence) return;
  var message = document.getElementById("message");
  message.textContent = sentence;
  message.hidden = false;
  document.documentElement.setAttribute("data-engine", "failed");
})();
