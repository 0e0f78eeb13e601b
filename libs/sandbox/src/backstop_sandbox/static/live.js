// Keeps the page current: asks for its changing part every two seconds and swaps it in when it changed.
(() => {
  "use strict";
  const EVERY_MS = 2000;
  const PAUSED = "sandbox.paused";
  const main = document.getElementById("main");
  const button = document.getElementById("pause");
  let etag = "";

  const localise = () => {
    for (const time of main.querySelectorAll("time")) {
      const at = new Date(time.dateTime);
      time.textContent = at.toLocaleTimeString();
      time.title = at.toLocaleString();
    }
  };
  const paused = () => sessionStorage.getItem(PAUSED) === "yes";
  const show = () => {
    button.textContent = paused() ? "Resume updates" : "Pause updates";
    button.setAttribute("aria-pressed", String(paused()));
  };
  const swap = (content) => {
    const focused = main.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    main.innerHTML = content;
    localise();
    if (focused) {
      main.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    }
  };

  const refresh = async () => {
    if (!paused() && !document.hidden) {
      try {
        const answer = await fetch("/?part=main", { headers: etag ? { "If-None-Match": etag } : {}, cache: "no-store" });
        if (answer.status === 200) {
          swap(await answer.text());
          etag = answer.headers.get("ETag");
        }
        document.body.classList.remove("away");
      } catch {
        document.body.classList.add("away");
      }
    }
    setTimeout(refresh, EVERY_MS);
  };

  button.hidden = false;
  button.addEventListener("click", () => {
    sessionStorage.setItem(PAUSED, paused() ? "no" : "yes");
    show();
  });
  show();
  localise();
  refresh();
})();
