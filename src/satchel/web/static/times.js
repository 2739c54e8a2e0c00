// Times are written in UTC by the server; here they become those of the reader's clock.
(() => {
  "use strict";

  const written = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "short" });

  function localTimes() {
    for (const time of document.querySelectorAll("time[data-local]")) {
      time.removeAttribute("data-local");
      time.title = time.textContent;
      time.textContent = written.format(new Date(time.dateTime));
    }
  }

  document.addEventListener("htmx:after:swap", localTimes);
  localTimes();
})();
