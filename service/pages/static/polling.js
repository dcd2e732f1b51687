/** Asking again and again: never while the page is hidden, slower and slower while the service does not answer. */

import { ApiError } from "./api.js";
import { refresh, t } from "./dom.js";
import { Unreachable } from "./reach.js";

const MAX_PAUSE = 30;

/**
 * Run `ask` now and then every `seconds()` seconds. `seconds` may return Infinity: then only when the page is shown
 * again. While the service does not answer, the page says so.
 */
export function poll(ask, seconds) {
  let failures = 0;
  let timer = null;
  let isAsking = false;

  async function tick() {
    timer = null;
    if (document.hidden || isAsking) return;
    isAsking = true;
    try {
      await ask();
      failures = 0;
    } catch (error) {
      if (!(error instanceof Unreachable) && !(error instanceof ApiError && error.isTemporary)) throw error;
      failures += 1;
    } finally {
      isAsking = false;
    }
    showConnection(failures);
    schedule();
  }

  function schedule() {
    const pause = failures ? Math.min(MAX_PAUSE, 2 ** (failures - 1)) : seconds();
    // A little jitter keeps many pages from asking at the same moment.
    if (Number.isFinite(pause)) timer = setTimeout(tick, 1000 * pause * (0.95 + 0.1 * Math.random()));
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      clearTimeout(timer);
      timer = null;
    } else if (timer === null) tick();
  });
  tick();
  return () => { clearTimeout(timer); timer = null; return tick(); };
}

/** Keep the parts of a page up to date that the service renders, unless it has only just rendered them. */
export function pollRendered(seconds) {
  const isFresh = () => performance.now() < 900 * seconds;
  poll(() => (isFresh() ? null : refresh()), () => seconds);
}

function showConnection(failures) {
  const line = document.getElementById("connection");
  line.hidden = failures < 2;
  line.textContent = failures < 2 ? "" : t("no_answer");
}
