// Makes the pages comfortable: local times, refreshing, and the dialog of Trigger Now. All of it works without.
"use strict";

const page = {
  live: document.querySelector("[data-live]"),
  freshness: document.querySelector("[data-freshness]"),
  csrf: document.querySelector('meta[name="csrf-token"]')?.content ?? "",
};

// ---- moments and durations -------------------------------------------------------------------------------------

const momentFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const clockFormat = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const relativeFormat = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });

function relativeText(iso) {
  const seconds = Math.round((new Date(iso) - Date.now()) / 1000);
  const units = [["day", 86400], ["hour", 3600], ["minute", 60]];
  for (const [unit, size] of units) {
    if (Math.abs(seconds) >= size) return relativeFormat.format(Math.trunc(seconds / size), unit);
  }
  return relativeFormat.format(seconds, "second");
}

function durationText(milliseconds) {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 59950) return `${(milliseconds / 1000).toFixed(1)} s`;
  const seconds = Math.round(milliseconds / 1000);
  const two = (number) => String(number).padStart(2, "0");
  if (seconds < 3600) return `${Math.trunc(seconds / 60)} min ${two(seconds % 60)} s`;
  return `${Math.trunc(seconds / 3600)} h ${two(Math.trunc((seconds % 3600) / 60))} min`;
}

function localizeMoments() {
  for (const element of document.querySelectorAll("time[data-moment]:not([title])")) {
    element.title = element.textContent;
    element.textContent = momentFormat.format(new Date(element.dateTime));
  }
}

function tellElapsed() {
  for (const element of document.querySelectorAll("[data-relative]")) {
    element.textContent = relativeText(element.dataset.relative);
  }
  for (const element of document.querySelectorAll("[data-since]")) {
    const seconds = Math.max(0, Math.round((Date.now() - new Date(element.dataset.since)) / 1000));
    element.textContent = seconds < 60 ? `${seconds} s` : durationText(seconds * 1000);
  }
}

// ---- refreshing ------------------------------------------------------------------------------------------------

const refreshing = { etag: "", busy: false, paused: false, seconds: 0, timer: 0 };
const INTERVAL_KEY = "backstop.refresh-seconds";
const PAUSED_KEY = "backstop.refresh-paused";

function tellFreshness(text, isStale = false) {
  page.freshness.textContent = text;
  page.freshness.classList.toggle("is-stale", isStale);
}

function replaceLive(html) {
  const focused = document.activeElement;
  const href = page.live.contains(focused) ? focused.getAttribute("href") : null;
  page.live.innerHTML = html;
  localizeMoments();
  tellElapsed();
  if (href) page.live.querySelector(`a[href="${CSS.escape(href)}"]`)?.focus({ preventScroll: true });
}

async function refresh() {
  if (refreshing.busy) return;
  refreshing.busy = true;
  try {
    const headers = refreshing.etag ? { "If-None-Match": refreshing.etag } : {};
    const response = await fetch(page.live.dataset.src, {
      headers, cache: "no-store", signal: AbortSignal.timeout(15000),
    });
    if (response.status === 401) return void location.reload();
    if (response.status !== 200 && response.status !== 304) throw new Error(`status ${response.status}`);
    if (response.status === 200) {
      refreshing.etag = response.headers.get("ETag") ?? "";
      replaceLive(await response.text());
    }
    tellFreshness(`Updated ${clockFormat.format(new Date())}`);
  } catch (error) {
    const reason = error.name === "TimeoutError" ? "no answer" : error.message;
    tellFreshness(`Not up to date (${reason}). Trying again.`, true);
  } finally {
    refreshing.busy = false;
    plan();
  }
}

function plan() {
  clearTimeout(refreshing.timer);
  const isFinal = page.live.querySelector("[data-final]") !== null;
  if (refreshing.paused || refreshing.seconds === 0 || isFinal) return;
  refreshing.timer = setTimeout(() => (document.hidden ? plan() : refresh()), refreshing.seconds * 1000);
}

function remembered(key) {
  try { return localStorage.getItem(key); } catch { return null; }
}

function remember(key, value) {
  try { localStorage.setItem(key, value); } catch { /* a browser that keeps nothing forgets the choice */ }
}

function setUpRefreshing() {
  document.querySelector("[data-refresh]")?.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    tellFreshness("Refreshing…");
    refresh();
  });
  const select = document.querySelector("[data-interval]");
  const pause = document.querySelector("[data-pause]");
  if (select) {
    const wanted = remembered(INTERVAL_KEY);
    if ([...select.options].some((option) => option.value === wanted)) select.value = wanted;
    select.addEventListener("change", () => {
      refreshing.seconds = Number(select.value);
      remember(INTERVAL_KEY, select.value);
      plan();
    });
  }
  refreshing.seconds = select ? Number(select.value) : Number(page.live.dataset.every ?? 0);
  if (pause) {
    const show = () => {
      pause.setAttribute("aria-pressed", String(refreshing.paused));
      pause.textContent = refreshing.paused ? "Resume" : "Pause";
    };
    refreshing.paused = remembered(PAUSED_KEY) === "yes";
    show();
    pause.addEventListener("click", () => {
      refreshing.paused = !refreshing.paused;
      remember(PAUSED_KEY, refreshing.paused ? "yes" : "no");
      show();
      if (refreshing.paused) plan(); else refresh();
    });
  }
  for (const element of document.querySelectorAll("[data-needs-script]")) element.hidden = false;
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && !refreshing.paused && refreshing.seconds > 0) refresh();
  });
  plan();
}

// ---- Trigger Now -----------------------------------------------------------------------------------------------

function randomKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function setUpTrigger(form) {
  const dialog = document.querySelector("[data-dialog]");
  const part = (name) => dialog.querySelector(`[data-dialog-${name}]`);
  const question = { title: part("title").innerHTML, text: part("text").textContent };
  let attempt = 0;

  function show({ title, text, link = null, results = null, isBusy = false, canConfirm = false }) {
    part("title").textContent = title;
    part("text").textContent = text;
    part("progress").hidden = !isBusy;
    part("result").hidden = results === null;
    for (const [name, value] of Object.entries(results ?? {})) {
      dialog.querySelector(`[data-result="${name}"]`).textContent = value;
    }
    part("link").hidden = link === null;
    if (link !== null) part("link").href = `/admin/cron-jobs/${link}`;
    part("confirm").hidden = !canConfirm;
    part("try").hidden = !canConfirm;
    part("cancel").textContent = canConfirm ? "Cancel" : "Close";
  }

  function showRun(run) {
    const counts = run.results;
    const number = (value) => value.toLocaleString();
    const what = run.dryRun ? "The dry run" : "The run";
    const told = run.dryRun ? "Nothing was changed. This is what a run would do." : "This is what became of the stuck tasks.";
    show({
      title: { completed: `${what} completed`, failed: `${what} failed`, skipped: `${what} was skipped` }[run.status]
        ?? `${what} ${run.status}`,
      text: run.errorMessage ?? (counts.totalFound === 0 ? "Nothing was stuck." : told),
      link: run.id,
      results: run.status === "skipped" ? null : {
        totalFound: number(counts.totalFound), completed: number(counts.completed), failed: number(counts.failed),
        stillProcessing: number(counts.stillProcessing), errors: number(counts.errors),
        duration: durationText(run.duration),
      },
    });
  }

  async function api(path, options = {}) {
    const response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(15000), ...options });
    return { status: response.status, body: await response.json() };
  }

  async function follow(id, mine, since) {
    while (dialog.open && mine === attempt) {
      const { status, body } = await api(`/api/admin/cron-jobs/${id}`);
      if (mine !== attempt) return;
      if (status === 200 && body.status !== "running") return void (showRun(body), refresh());
      if (status !== 200 && status !== 404) throw new Error(body.detail);
      const elapsed = Date.now() - since;
      part("elapsed").textContent = status === 404
        ? `Waiting for recovery to take it · ${durationText(elapsed)}`
        : `Still running · ${body.results.totalFound.toLocaleString()} found so far · ${durationText(elapsed)}`;
      if (elapsed > 2000) part("link").hidden = false;
      await new Promise((resolve) => setTimeout(resolve, elapsed < 5000 ? 300 : 1500));
    }
  }

  async function run(dryRun) {
    const mine = ++attempt;
    show({
      title: dryRun ? "Asking…" : "Running…",
      text: `You can close this; the ${dryRun ? "dry run" : "run"} goes on and appears in the table.`, isBusy: true,
    });
    part("elapsed").textContent = "Requested";
    try {
      const { status, body } = await api("/api/admin/trigger-cron", {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-CSRF-Token": page.csrf, "Idempotency-Key": dialog.dataset.key },
        body: JSON.stringify({ jobName: form.elements.jobName.value, dryRun }),
      });
      if (status === 401) return void location.reload();
      if (status === 409) {
        return show({
          title: `A ${dryRun ? "dry run" : "run"} is already active`,
          text: "No second one was started. Look at the active one, or wait until it ends.", link: body.executionId,
        });
      }
      if (status !== 202) throw new Error(body.detail);
      part("link").href = `/admin/cron-jobs/${body.executionId}`;
      refresh();
      await follow(body.executionId, mine, Date.now());
    } catch (error) {
      const reason = error.name === "TimeoutError" ? "The server did not answer in time." : error.message;
      if (mine === attempt) show({ title: "That did not work", text: reason, canConfirm: true });
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    dialog.dataset.key = randomKey();
    show({ title: "", text: question.text, canConfirm: true });
    part("title").innerHTML = question.title;
    dialog.showModal();
    part("confirm").focus();
  });
  part("confirm").addEventListener("click", () => run(false));
  part("try").addEventListener("click", () => run(true));
  part("cancel").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => { attempt += 1; });
}

localizeMoments();
tellElapsed();
setInterval(tellElapsed, 1000);
if (page.live) setUpRefreshing();
const triggerForm = document.querySelector("[data-trigger]");
if (triggerForm) setUpTrigger(triggerForm);
