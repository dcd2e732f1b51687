/** Copying, also where the service is reached by plain HTTP: there browsers have no `navigator.clipboard`. */

import { element, say, t } from "./dom.js";

export async function copy(text) {
  if (navigator.clipboard) await navigator.clipboard.writeText(text);
  else copyBySelection(text);
  say(t("copied"));
}

function copyBySelection(text) {
  const focused = document.activeElement;
  const area = element("textarea", { class: "hidden", "aria-hidden": "true" });
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
  focused?.focus();
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-copy]");
  if (button) copy(document.getElementById(button.dataset.copy).textContent);
});
