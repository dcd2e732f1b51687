/** The page of a job: its curves, events, log and state, kept up to date by one request a tick. */

import { ApiError, perform, send } from "./api.js";
import { colorOf, drawChart, figure, keepFigures } from "./charts.js";
import { copy } from "./clipboard.js";
import { curveControls } from "./curve_controls.js";
import { RATE, curvesOf, marksOf, metricNames, position, rateCurve } from "./curves.js";
import { askFor } from "./dialogs.js";
import { confirmed, element, figures, pageUrl, refresh, say, t, timeElement, timeInWords } from "./dom.js";
import { poll } from "./polling.js";

const RUNNING_SECONDS = 1;
const WAITING_SECONDS = 3;
const ENDED_SECONDS = 15;
const FILES_SECONDS = 10;
const MAX_ROWS = 100;
const MAX_LINES = 5000;

const curves = document.getElementById("curves");
const eventList = document.getElementById("events");
const log = document.getElementById("log");
const jobId = curves.dataset.job;

const plainIcon = document.getElementById("icon").href;
const known = { epochs: [], points: [], event: Number(eventList.dataset.last), line: Number(log.dataset.last), etag: null };
let job = null;
const chosen = curveControls(draw);
let shape = null;
/** The epoch, the best one and the last event that the list of files was rendered with. */
let filesShape = null;
let refreshedAt = Date.now();

async function ask() {
  await askNews();
  await showJob();
}

async function askNews() {
  let isComplete = false;
  while (!isComplete) {
    const response = await read("GET", `/jobs/${jobId}/news?${query()}`, undefined, { headers: known.etag ? { "If-None-Match": known.etag } : {} });
    if (response.status === 304) return;
    const news = await response.json();
    known.etag = news.is_complete ? response.headers.get("ETag") : null;
    take(news);
    isComplete = news.is_complete;
  }
}

/** A job that was deleted meanwhile has no page any more: the service says so. */
async function read(...request) {
  try {
    return await send(...request);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) location.reload();
    throw error;
  }
}

function query() {
  return new URLSearchParams({
    epoch: known.epochs.at(-1)?.epoch ?? 0,
    epoch_attempt: known.epochs.at(-1)?.attempt ?? 0,
    point: known.points.at(-1)?.ordinal ?? 0,
    point_attempt: known.points.at(-1)?.attempt ?? 0,
    event: known.event,
    line: known.line,
  });
}

function take(news) {
  job = news.job;
  const hasCurves = news.epochs.length || news.points.length || known.epochs.at(-1)?.epoch > news.valid_epoch;
  known.epochs = [...known.epochs.filter((row) => row.epoch <= news.valid_epoch), ...news.epochs];
  known.points = [...known.points.filter((row) => row.ordinal <= news.valid_point), ...news.points];
  if (hasCurves || curves.childElementCount === 0) draw();
  if (hasCurves) showEpochs();
  showEvents(news.events);
  showLines(news.lines);
  if (news.diagnosis) showDiagnosis(news.diagnosis);
}

/** What the job's head depends on, beyond what `showProgress` shows. */
function shapeOf() {
  const queue = job.queue ? [job.queue.position, job.queue.waiting_for, job.queue.starts_in_seconds] : [];
  return [job.state, job.phase, job.attempt, ...requests(), ...queue].join("|");
}

/** Since when it is asked to leave its worker, for each reason for which it may be. */
function requests() {
  return [job.cancel_requested_at, job.pause_requested_at, job.preempt_requested_at];
}

/** What tells that there may be other files. Epochs may last milliseconds: the list follows every ten seconds. */
function filesShapeOf() {
  return [job.best?.epoch, job.progress.epoch, known.event].join("|");
}

async function showJob() {
  if (job === null) return;
  const isFirst = shape === null;
  const hasChanged = isFirst ? job.state !== curves.dataset.state : shape !== shapeOf();
  shape = shapeOf();
  if (isFirst) filesShape = filesShapeOf();
  if (hasChanged || (filesShape !== filesShapeOf() && Date.now() - refreshedAt > 1000 * FILES_SECONDS)) await refreshParts();
  showProgress();
}

/** Replace the head and the files by what the service renders, which leaves out all else for it. */
async function refreshParts(options = {}) {
  filesShape = filesShapeOf();
  refreshedAt = Date.now();
  const url = new URL(location.href);
  url.searchParams.set("only", "parts");
  await refresh({ url, ...options });
}

function showDiagnosis({ summary, advice }) {
  const box = document.querySelector("[data-part=head] [data-field=diagnosis]");
  box.replaceChildren(element("strong", {}, summary), advice ? ` ${advice}` : "");
  box.hidden = false;
}

function showProgress() {
  const head = document.querySelector("[data-part=head]");
  const progress = job.progress;
  const bar = head.querySelector("progress");
  if (bar) showEpochAndBest(head, bar);
  if (job.state !== "running") document.getElementById("icon").href = plainIcon;
  if (job.state !== "running" || job.phase !== "training" || !progress.steps || requests().some(Boolean)) return;
  head.querySelector("[data-field=sentence]").replaceChildren(t("trains", progress), " ", timeLeft());
  const metrics = Object.entries(progress.metrics).map(([name, value]) => `${name} ${figures(value)}`);
  head.querySelector("[data-field=metrics]").textContent = metrics.join(" · ");
  document.title = document.title.replace(/^\d+ %/, `${Math.round(progress.percent)} %`);
  showIcon(progress.percent);
}

function showEpochAndBest(head, bar) {
  bar.value = job.progress.percent;
  head.querySelector("[data-field=epochs]").textContent = `${job.progress.epoch}/${job.progress.epochs}`;
  if (job.best) head.querySelector("[data-field=best]").replaceChildren(...bestParts(job.best));
}

function bestParts({ monitor, value, epoch }) {
  const text = `${monitor} ${figures(value)}`;
  return [element("span", { class: "figures" }, text), " ", element("span", { class: "hint" }, t("best_in", { epoch }))];
}

/** The icon of the tab is a ring that closes as the training comes to its end. */
function showIcon(percent) {
  const length = 2 * Math.PI * 12;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><circle cx="16" cy="16" r="12" fill="none" stroke="#9db4ff" stroke-width="6"/><circle cx="16" cy="16" r="12" fill="none" stroke="#3157d5" stroke-width="6" stroke-dasharray="${(length * Number(percent)) / 100} ${length}" transform="rotate(-90 16 16)"/></svg>`;
  document.getElementById("icon").href = `data:image/svg+xml,${encodeURIComponent(svg)}`;
}

function timeLeft() {
  const seconds = job.progress.eta_seconds;
  if (seconds === null) return "";
  return timeInWords(job.finishes_at, t(job.may_finish_earlier ? "eta_at_most" : "eta", { duration: about(seconds) }));
}

/** An estimate has no figures that nobody knows. The service writes it in the same way. */
function about(seconds) {
  if (seconds < 55) return `${Math.max(10, 10 * Math.ceil(seconds / 10))} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const tens = 10 * Math.round(minutes / 10);
  if (tens < 24 * 60) return tens % 60 ? `${Math.floor(tens / 60)} h ${tens % 60} min` : `${tens / 60} h`;
  const hours = Math.round(seconds / 3600);
  return hours % 24 ? `${Math.floor(hours / 24)} d ${hours % 24} h` : `${hours / 24} d`;
}

function draw() {
  const x = position(chosen.axis, job.progress.steps);
  const marks = marksOf(known.epochs, job.best, x);
  const names = metricNames(known.epochs, known.points);
  const xAxis = { title: t(chosen.axis === "time" ? "curves.time" : "curves.epoch"), isTime: chosen.axis === "time" };
  const charts = names.map((name) => ({ key: `metric-${name}`, title: name, series: curvesOf(known.epochs, known.points, name, x, [colorOf(0), colorOf(1)]) }));
  const rate = rateCurve(known.epochs, x, colorOf(3));
  if (rate.x.length) charts.push({ key: "rate", title: t("curves.rate"), series: [rate] });
  keepFigures(curves, new Set(charts.map((chart) => chart.key)));
  for (const chart of charts) {
    drawChart(figure(curves, chart.key, chart.title), { title: `${jobId} ${chart.title}`, series: chart.series, marks, x: xAxis, log: chosen.isLog });
  }
  curves.dataset.drawn = String(known.epochs.at(-1)?.epoch ?? 0);
  document.getElementById("curve-controls").hidden = charts.length === 0;
}

function showEpochs() {
  const table = document.getElementById("epochs");
  const names = metricsInOrder();
  const text = (row, name) => row.non_finite_values[name] ?? (row.metrics[name] === undefined ? "" : figures(row.metrics[name]));
  const headings = [t("curves.epoch"), ...names, t("rate"), t("seconds")].map((heading) => element("th", { scope: "col" }, heading));
  const rows = known.epochs.slice(-MAX_ROWS).reverse().map((row) => element("tr", {},
    element("th", { scope: "row" }, String(row.epoch)),
    ...names.map((name) => element("td", {}, text(row, name))),
    element("td", {}, row.learning_rate === null ? "" : figures(row.learning_rate)),
    element("td", {}, row.seconds.toFixed(1))));
  table.tHead.replaceChildren(element("tr", {}, ...headings));
  table.tBodies[0].replaceChildren(...rows);
}

function metricsInOrder() {
  return [...new Set(known.epochs.slice(-MAX_ROWS).flatMap((row) => Object.keys(row.metrics)))].filter((name) => name !== RATE);
}

function showEvents(events) {
  for (const event of events) {
    eventList.prepend(element("li", { class: event.kind }, timeElement(event.at, "clock"), " ", element("span", {}, event.message)));
    known.event = event.id;
  }
}

const follow = document.getElementById("log-follow");
const search = document.getElementById("log-search");

function showLines(lines) {
  for (const line of lines) {
    log.append(element("span", { class: line.stream, hidden: !matches(line.text) }, `${line.text}\n`));
    known.line = line.id;
  }
  while (log.childElementCount > MAX_LINES) log.firstElementChild.remove();
  if (lines.length && follow.checked) log.scrollTop = log.scrollHeight;
}

function matches(text) {
  return text.toLowerCase().includes(search.value.toLowerCase());
}

search.addEventListener("input", () => {
  for (const line of log.children) line.hidden = !matches(line.textContent);
});

async function act(action, values) {
  if (["cancel", "delete"].includes(action) && !(await confirmed(t(`ask.${action}`), t(`action.${action}`)))) return;
  const body = await askBody(action, values);
  if (body === null) return;
  try {
    await perform(action, jobId, body);
    if (action === "delete") return location.assign(pageUrl("/"));
    await refreshParts({ always: true });
    askNow();
  } catch (error) {
    say(error.text ?? error.message, "error");
  }
}

/** Ask for what an action needs. Resolves to the body of its request: undefined if it needs none, null if it is off. */
async function askBody(action, { name, pool, priority, preemptible }) {
  if (action === "extend") {
    const given = await askFor([{ label: t("ask.epochs"), name: "epochs", type: "number", min: 1, value: job?.progress.epochs ?? 1, required: true }], t("action.extend"));
    return given && { epochs: Number(given.epochs) };
  }
  if (action === "change") {
    const given = await askFor([
      { label: t("ask.name"), name: "name", type: "text", maxlength: 128, value: name },
      { label: t("ask.pool"), name: "pool", type: "text", required: true, value: pool },
      { label: t("ask.priority"), name: "priority", type: "number", min: -100, max: 100, required: true, value: priority },
      { label: t("ask.preemptible"), name: "preemptible", type: "checkbox", checked: preemptible !== undefined },
    ], t("action.change"));
    return given && { name: given.name || null, pool: given.pool, priority: Number(given.priority), preemptible: "preemptible" in given };
  }
  return undefined;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-action]");
  if (button) act(button.dataset.action, button.dataset);
});

const spec = document.getElementById("spec");
document.getElementById("copy-spec").addEventListener("click", () => copy(spec.textContent));
document.getElementById("download-spec").href = URL.createObjectURL(new Blob([spec.textContent], { type: "application/json" }));

log.scrollTop = log.scrollHeight;
const askNow = poll(ask, () => ({ running: RUNNING_SECONDS, queued: WAITING_SECONDS })[job?.state] ?? ENDED_SECONDS);
