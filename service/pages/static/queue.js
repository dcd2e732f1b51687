/** The queue and the workers, kept up to date by the service's own rendering of them. */

import { perform, performDrain } from "./api.js";
import { askFor } from "./dialogs.js";
import { refresh, say, t } from "./dom.js";
import { pollRendered } from "./polling.js";

const SECONDS = 5;

async function drain(method, workerId) {
  if (method === "DELETE") return performDrain(method, workerId);
  const given = await askFor([{ label: t("ask.drain_minutes"), name: "minutes", type: "number", min: 0, step: "any" }], t("queue.drain"));
  if (!given) return null;
  const seconds = given.minutes === "" ? null : Math.round(60 * Number(given.minutes));
  return performDrain(method, workerId, { timeout_seconds: seconds });
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-front], button[data-drain]");
  if (!button) return;
  const { front, method, drain: workerId } = button.dataset;
  try {
    await (front ? perform("move-to-front", front) : drain(method, workerId));
    await refresh({ always: true });
  } catch (error) {
    say(error.text ?? error.message, "error");
  }
});

pollRendered(SECONDS);
