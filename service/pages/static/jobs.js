/** The list of jobs: kept up to date by the service's own rendering of it, and what is done with several at once. */

import "./clipboard.js";
import { perform } from "./api.js";
import { confirmed, refresh, say, t } from "./dom.js";
import { pollRendered } from "./polling.js";

const SECONDS = 3;
const REQUESTS_AT_ONCE = 4;

const bar = document.getElementById("choice");
const chooseAll = document.getElementById("choose-all");

function boxes() {
  return [...document.querySelectorAll("input[name=job]")];
}

function chosenBoxes() {
  return boxes().filter((box) => box.checked);
}

/** The chosen jobs of which this may be asked now. */
function chosenFor(action) {
  return chosenBoxes().filter((box) => box.dataset.actions.split(" ").includes(action));
}

function showChoice() {
  const count = chosenBoxes().length;
  const text = count ? t("jobs.chosen", { count }) : "";
  const line = document.getElementById("chosen");
  if (line.textContent !== text) line.textContent = text;
  bar.hidden = boxes().length === 0;
  chooseAll.checked = count > 0 && count === boxes().length;
  chooseAll.indeterminate = count > 0 && count < boxes().length;
  bar.querySelector("button:not([data-action])").disabled = count === 0;
  for (const button of bar.querySelectorAll("[data-action]")) button.hidden = chosenFor(button.dataset.action).length === 0;
}

async function act(action) {
  const targets = chosenFor(action);
  const asks = ["cancel", "delete"].includes(action);
  if (asks && !(await confirmed(t(`jobs.ask.${action}`, { count: targets.length, all: chosenBoxes().length }), t(`action.${action}`)))) return;
  const faults = [];
  const queue = targets.values();
  const run = async () => { for (const box of queue) await actOn(box, action, faults); };
  await Promise.all(Array.from({ length: REQUESTS_AT_ONCE }, run));
  const done = targets.length - faults.length;
  if (done) say(t(`jobs.done.${action}`, { count: done }));
  if (faults.length) say(faults.join("\n"), "error");
  await refresh({ always: true });
}

async function actOn(box, action, faults) {
  try {
    await perform(action, box.value);
  } catch (error) {
    faults.push(`${box.dataset.name}: ${error.text ?? error.message}`);
  }
}

document.addEventListener("change", (event) => {
  if (event.target === chooseAll) for (const box of boxes()) box.checked = chooseAll.checked;
  showChoice();
});
bar.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-action]");
  if (button) act(button.dataset.action).catch((error) => say(error.message, "error"));
});
document.addEventListener("refreshed", showChoice);

showChoice();
pollRendered(SECONDS);
