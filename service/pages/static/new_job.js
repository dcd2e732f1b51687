/** The page of a new job: it is checked while it is written, and what was written is kept. */

import { ApiError, call } from "./api.js";
import { element, pageUrl, say, t } from "./dom.js";
import { forgetDraft, keepDraft, readDraft } from "./draft.js";
import { Editor } from "./editor.js";
import { Lines, locate, scan } from "./json_text.js";
import { modelTable, size } from "./model_table.js";

const PAUSE = 0.5;
const MAX_PAUSE = 30;
const MAX_LINES_NAMED = 8;
const POSITION = /line (\d+), column (\d+)/;
const BUSY = new Set([429, 503]);

const form = document.getElementById("new-job");
const state = document.getElementById("check-state");
const results = document.getElementById("results");
const kept = document.getElementById("kept");
const submitButton = document.getElementById("submit");
const title = document.title;

const editor = new Editor(document.getElementById("editor"), changed);
const initialText = editor.text;
let key = newKey();
let timer = null;
let request = null;
let failures = 0;
let isSubmitting = false;
let isOverdue = false;

/** Return a key for `Idempotency-Key`. `crypto.randomUUID` exists over HTTPS alone. */
function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function changed() {
  key = newKey();
  failures = 0;
  keep();
  checkIn(PAUSE);
}

function checkIn(seconds) {
  request?.abort();
  clearTimeout(timer);
  timer = setTimeout(check, 1000 * seconds);
}

async function check() {
  timer = null;
  isOverdue = document.hidden;
  if (isSubmitting || isOverdue) return;
  const body = readyText();
  if (body === null) return;
  showState(t("new.checking"), "", { isBusy: true });
  request?.abort();
  const { signal } = (request = new AbortController());
  try {
    const checked = await call("POST", "/jobs?dry_run=true", body, { signal });
    failures = 0;
    showAccepted(checked);
  } catch (error) {
    if (!signal.aborted) showFailure(error, "");
  }
}

/** Return the text if it is JSON; else say what is wrong, and return null. */
function readyText() {
  const { text } = editor;
  if (!text.trim()) {
    showFindings([], []);
    showState(t("new.unwritten"));
    return null;
  }
  const { fault } = scan(text);
  if (!fault) return text;
  showMalformed(t(`json.${fault.kind}`), fault.offset);
  return null;
}

/** Show why there is no answer, or why it is an error. A check is tried again, a submission is not. */
function showFailure(error, prefix) {
  const isOffline = !(error instanceof ApiError);
  if (!isOffline && !BUSY.has(error.status)) return showRefused(error);
  const seconds = Math.min(MAX_PAUSE, Math.max(error.retryAfter ?? 1, 2 ** failures));
  failures += 1;
  const message = isOffline ? "" : error.message;
  showState(t(`new.${prefix}${isOffline ? "offline" : "busy"}`, { message, seconds }), "error");
  if (!prefix) checkIn(seconds);
}

function showRefused(error) {
  const position = POSITION.exec(error.message);
  if (error.problem?.code === "malformed_json" && position) {
    return showMalformed(error.message, new Lines(editor.text).offsetOf(Number(position[1]), Number(position[2])));
  }
  const faults = error.problem?.errors ?? [];
  showFindings(faults.length ? faults : [{ pointer: "", message: error.message }], []);
  const lines = linesOf(faults);
  if (!lines.length) return showState(t("new.refused"), "error");
  const words = { count: faults.length, lines: inWords(lines) };
  return showState(t(faults.length === 1 ? "new.fault" : "new.faults", words), "error");
}

function showMalformed(message, offset) {
  const lines = new Lines(editor.text);
  showFindings([{ offset, message }], []);
  showState(t("new.not_json", { line: lines.lineOf(offset), column: lines.columnOf(offset) }), "error");
}

function showAccepted({ notices, model }) {
  showFindings([], notices);
  showState(t("new.accepted"));
  const part = document.getElementById("model-part");
  part.hidden = !model;
  if (model) document.getElementById("model").replaceChildren(...modelTable(model, "model-title"));
}

function showState(text, kind = "", { isBusy = false } = {}) {
  results.setAttribute("aria-busy", String(isBusy));
  if (state.textContent === text && state.className === kind) return;
  state.textContent = text;
  state.className = kind;
}

function showFindings(faults, notices) {
  const found = { root: scan(editor.text).root, lines: new Lines(editor.text) };
  const list = document.getElementById("faults");
  list.replaceChildren(...faults.map((fault) => item(fault, "fault", found)));
  list.hidden = faults.length === 0;
  document.getElementById("notices").replaceChildren(...notices.map((notice) => item(notice, "notice", found)));
  document.getElementById("notices-part").hidden = notices.length === 0;
  const marks = new Map(notices.flatMap((notice) => linesOf([notice], found).map((line) => [line, "notice"])));
  for (const line of linesOf(faults, found)) marks.set(line, "fault");
  editor.mark(marks);
  editor.area.setAttribute("aria-invalid", String(faults.length > 0));
  document.getElementById("model-age").hidden = faults.length === 0;
  document.title = faults.length ? `${t("new.title", { count: faults.length })} · ${title}` : title;
}

/** Create the line of a list that says a fault or a notice, and leads to its place in the text. */
function item(finding, kind, found) {
  const [line, ...others] = linesOf([finding], found);
  const details = [
    finding.received !== undefined && finding.received !== null && t("new.received", { value: JSON.stringify(finding.received) }),
    finding.expected && t("new.expected", { value: finding.expected }),
    others.length > 0 && t("new.more_lines", { lines: inWords(others) }),
  ].filter(Boolean);
  return element("li", { class: kind },
    element("button", { type: "button", class: "finding", click: () => jump(finding) },
      element("span", { class: "line" }, line === undefined ? t("new.whole") : t("new.line", { line })),
      finding.pointer ? element("code", {}, finding.pointer) : null,
      element("span", {}, finding.message),
      details.length ? element("span", { class: "hint" }, details.join(" · ")) : null));
}

/** Select what a finding is about, in the text as it is now. */
function jump(finding) {
  const range = rangeOf(finding, finding.pointer, scan(editor.text).root);
  if (range) editor.select(range.start, range.end);
  else editor.area.focus();
}

function rangeOf(finding, pointer, root) {
  if (finding.offset !== undefined) return { start: finding.offset, end: Math.min(finding.offset + 1, editor.text.length) };
  return locate(root, pointer, { wantsKey: finding.code === "unknown_field" });
}

/** Return the lines of all places that findings name, in order. */
function linesOf(findings, { root, lines } = { root: scan(editor.text).root, lines: new Lines(editor.text) }) {
  const ranges = findings.flatMap((finding) => (finding.pointers ?? [finding.pointer]).map((pointer) => rangeOf(finding, pointer, root)));
  return [...new Set(ranges.filter(Boolean).map((range) => lines.lineOf(range.start)))].sort((a, b) => a - b);
}

function inWords(lines) {
  const named = lines.slice(0, MAX_LINES_NAMED).join(", ");
  return lines.length > MAX_LINES_NAMED ? `${named} …` : named;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (isSubmitting) return;
  request?.abort();
  clearTimeout(timer);
  const body = readyText();
  if (body === null) return;
  setSubmitting(true);
  showState(t("new.submitting"), "", { isBusy: true });
  try {
    const job = await call("POST", "/jobs", body, { headers: { "Idempotency-Key": key } });
    key = newKey(); // whoever comes back here and submits again wants a second job
    forgetDraft();
    location.assign(pageUrl(`/jobs/${job.id}`));
  } catch (error) {
    setSubmitting(false);
    showFailure(error, "submit_");
  }
});

function setSubmitting(value) {
  isSubmitting = value;
  submitButton.disabled = value;
}

function keep() {
  if (editor.text === initialText) {
    forgetDraft();
    kept.textContent = "";
  } else kept.textContent = t(keepDraft({ text: editor.text, key }) ? "new.kept" : "new.not_kept");
  document.getElementById("start-again").hidden = editor.text === initialText;
}

function restore() {
  const draft = readDraft();
  if (!draft || draft.text === initialText) return;
  editor.area.value = draft.text;
  editor.number();
  key = draft.key;
  keep();
  kept.textContent = t("new.restored");
}

document.getElementById("start-again").addEventListener("click", () => editor.replace(initialText));

async function load(file) {
  const { maxBytes } = editor.area.dataset;
  if (file.size > Number(maxBytes)) return say(t("new.too_large", { name: file.name, size: size(Number(maxBytes)) }), "error");
  try {
    editor.replace(new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer()).replaceAll("\r\n", "\n"));
    return say(t("new.loaded", { name: file.name }));
  } catch {
    return say(t("new.not_text", { name: file.name }), "error");
  }
}

const fileInput = document.getElementById("file");
fileInput.addEventListener("change", async () => {
  if (fileInput.files.length) await load(fileInput.files[0]);
  fileInput.value = ""; // so that the same file can be chosen again
});

document.addEventListener("dragover", (event) => {
  if (!event.dataTransfer.types.includes("Files")) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = "copy";
});
document.addEventListener("drop", (event) => {
  if (!event.dataTransfer.files.length) return;
  event.preventDefault();
  load(event.dataTransfer.files[0]);
});

document.addEventListener("visibilitychange", () => { if (!document.hidden && isOverdue) check(); });
window.addEventListener("online", () => { if (failures && !isSubmitting) checkIn(0); });
window.addEventListener("pageshow", (event) => { if (event.persisted) setSubmitting(false); });

document.getElementById("check").hidden = true;
restore();
checkIn(0);
