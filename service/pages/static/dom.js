/** The page: its words, its elements, its times, and how parts of it are replaced. Text is always set as text. */

import { Unreachable, reach } from "./reach.js";

const words = JSON.parse(document.getElementById("words").textContent);

/** Return the words of a key, with `{name}` replaced by values. */
export function t(key, values = {}) {
  let text = words[key];
  if (text === undefined) throw new Error(`The file of words has no key js.${key}`);
  for (const [name, value] of Object.entries(values)) text = text.replaceAll(`{${name}}`, String(value));
  return text;
}

/** Create an element. An attribute that is `true` has no value, one that is `false` or null is left out. */
export function element(tag, attributes = {}, ...children) {
  const created = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (typeof value === "function") created.addEventListener(name, value);
    else created.setAttribute(name, value === true ? "" : String(value));
  }
  created.append(...children.filter((child) => child !== null && child !== undefined));
  return created;
}

/** The address of a page of this service, also where it lies under a path of its own. */
export function pageUrl(path) {
  return document.body.dataset.root + path;
}

/** Write a number with four significant digits; null, which stands for NaN or infinity, is `nan`. */
export function figures(value) {
  return value === null ? "nan" : String(Number(value.toPrecision(4)));
}

/** Set parameters of the page's address, so that a reload and a copied address show the same. */
export function setParameters(values) {
  const url = new URL(location.href);
  for (const [name, value] of Object.entries(values)) {
    if (value === null || value === "") url.searchParams.delete(name);
    else url.searchParams.set(name, value);
  }
  history.replaceState(null, "", url);
}

export function parameter(name) {
  return new URL(location.href).searchParams.get(name);
}

const exact = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "full", timeStyle: "long" });
const short = new Intl.DateTimeFormat(document.documentElement.lang, {
  month: "short", day: "numeric", hour: "2-digit", minute: "2-digit",
});
const clock = new Intl.DateTimeFormat(document.documentElement.lang, { timeStyle: "medium" });

/** Show each time in the zone of the reader, with the exact one on hover. One in words stays as it is. */
export function localizeTimes(root = document) {
  for (const time of root.querySelectorAll("time[datetime]:not([title])")) {
    const moment = new Date(time.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    if (time.dataset.style !== "words") time.textContent = (time.dataset.style === "clock" ? clock : short).format(moment);
    time.title = exact.format(moment);
  }
}

/** Create a `<time>`. `style`: `clock` shows no date. */
export function timeElement(moment, style = "short") {
  const time = element("time", { datetime: moment, "data-style": style });
  localizeTimes(element("span", {}, time));
  return time;
}

/** Create a `<time>` that says something about a moment in words. */
export function timeInWords(moment, text) {
  const time = element("time", { datetime: moment, "data-style": "words" }, text);
  localizeTimes(element("span", {}, time));
  return time;
}

/** Say something in a corner of the page for a while, and to screen readers. */
export function say(text, kind = "info") {
  const message = element("p", { class: `message ${kind}` }, text);
  document.getElementById("messages").append(message);
  setTimeout(() => message.remove(), kind === "error" ? 15000 : 6000);
}

/**
 * Replace the parts of this page by those of the page as the service renders it now: all elements with `data-part`.
 * A part that holds the focus or a selection is left alone, unless `always` is set.
 */
export async function refresh({ url = location.href, always = false } = {}) {
  const response = await reach(url, { headers: { Accept: "text/html" } });
  if (response.redirected && new URL(response.url).pathname.endsWith("/login")) return location.reload();
  if (response.status >= 500) throw new Unreachable(`HTTP ${response.status}`);
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const old of document.querySelectorAll("[data-part]")) {
    const part = fresh.querySelector(`[data-part="${CSS.escape(old.dataset.part)}"]`);
    if (!part || (!always && isInUse(old))) continue;
    const replacement = document.importNode(part, true);
    localizeTimes(replacement);
    keepChoices(old, replacement);
    if (old.outerHTML === replacement.outerHTML) continue;
    const focused = old.contains(document.activeElement) ? focusKey(document.activeElement) : null;
    old.replaceWith(replacement);
    if (focused) replacement.querySelector(focused)?.focus();
  }
  document.title = fresh.title;
  document.dispatchEvent(new Event("refreshed"));
}

function isInUse(part) {
  const selection = document.getSelection();
  const selects = selection && !selection.isCollapsed && part.contains(selection.anchorNode);
  return selects || (part.contains(document.activeElement) && document.activeElement.matches("input[type=text], textarea, select"));
}

function focusKey(focused) {
  if (focused.id) return `#${CSS.escape(focused.id)}`;
  if (focused.dataset?.key) return `[data-key="${CSS.escape(focused.dataset.key)}"]`;
  return focused.getAttribute("href") ? `a[href="${CSS.escape(focused.getAttribute("href"))}"]` : null;
}

function keepChoices(old, replacement) {
  for (const box of old.querySelectorAll("input[type=checkbox][value]:checked")) {
    const same = replacement.querySelector(`input[type=checkbox][value="${CSS.escape(box.value)}"]`);
    if (same) same.checked = true;
  }
  for (const details of old.querySelectorAll("details[id][open]")) {
    replacement.querySelector(`#${CSS.escape(details.id)}`)?.setAttribute("open", "");
  }
}

/** Ask before something that cannot be undone. Resolves to whether the answer was yes. */
export function confirmed(question, yes) {
  return new Promise((resolve) => {
    const dialog = element("dialog", { class: "card" },
      element("form", { method: "dialog" },
        element("p", {}, question),
        element("div", { class: "buttons" },
          element("button", { value: "no", autofocus: true }, t("no")),
          element("button", { value: "yes", class: "danger" }, yes))));
    dialog.addEventListener("close", () => { resolve(dialog.returnValue === "yes"); dialog.remove(); });
    document.body.append(dialog);
    dialog.showModal();
  });
}

localizeTimes();
