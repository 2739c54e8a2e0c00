// Photos on their way to the server: made smaller first, then sent with their progress shown.
//
//   await satchelSmall(file, sidePx)           a JPEG of at most this size, or the file as it is
//   await satchelUpload(address, request, on)  a Response; on(share) is called while it is sent
(() => {
  "use strict";

  const QUALITY = 0.92;
  let last = Promise.resolve();

  // What the browser cannot read, is small, or would grow is sent as it is. Drawing applies the
  // photo's orientation and colour profile, and leaves its metadata behind.
  window.satchelSmall = (file, sidePx) => {
    if (!sidePx || !window.createImageBitmap) return Promise.resolve(file);
    return (last = last.then(() => small(file, sidePx))); // one at a time, for the memory of phones
  };

  async function small(file, sidePx) {
    try {
      const whole = await createImageBitmap(file);
      const scale = sidePx / Math.max(whole.width, whole.height);
      if (scale >= 1) return whole.close(), file;
      const [width, height] = [whole.width, whole.height].map((side) => Math.round(side * scale));
      const shrunk = await createImageBitmap(whole, {
        resizeWidth: width,
        resizeHeight: height,
        resizeQuality: "high",
      });
      whole.close();
      const canvas = Object.assign(document.createElement("canvas"), { width, height });
      const context = canvas.getContext("2d", { alpha: false });
      context.fillStyle = "#fff"; // where the photo is transparent
      context.fillRect(0, 0, width, height);
      context.drawImage(shrunk, 0, 0);
      shrunk.close();
      const made = await new Promise((done) => canvas.toBlob(done, "image/jpeg", QUALITY));
      canvas.width = canvas.height = 0; // Safari keeps its memory else
      return made && made.size < file.size ? made : file;
    } catch {
      return file; // HEIC, or damaged: the server says what it is
    }
  }

  window.satchelUpload = (address, request, on) =>
    new Promise((done, failed) => {
      const sending = new XMLHttpRequest();
      sending.open(request.method, address);
      for (const [name, value] of Object.entries(request.headers)) sending.setRequestHeader(name, value);
      sending.upload.onprogress = (event) => event.lengthComputable && on(event.loaded / event.total);
      sending.upload.onloadend = () => on(1);
      sending.onload = () => {
        const headers = sending.getAllResponseHeaders().trim().split(/[\r\n]+/);
        const pairs = headers.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]);
        done(new Response(sending.responseText, { status: sending.status, headers: pairs }));
      };
      sending.onerror = () => failed(new TypeError("the server did not answer"));
      sending.onabort = () => failed(new DOMException("aborted", "AbortError"));
      request.signal?.addEventListener("abort", () => sending.abort());
      sending.send(request.body);
    });
})();
