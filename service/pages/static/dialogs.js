/** Questions with fields to fill in. */

import { element, t } from "./dom.js";

/**
 * Ask for values. Each field has a `label`, a `name`, and the attributes of its input. Resolves to the texts by name,
 * or to null if the answer was no.
 */
export function askFor(fields, yes) {
  return new Promise((resolve) => {
    const labels = fields.map(({ label, ...attributes }) => element("label", {}, label, " ", element("input", attributes)));
    const form = element("form", { method: "dialog" }, ...labels,
      element("div", { class: "buttons" }, element("button", { value: "no", formnovalidate: true }, t("no")), element("button", { value: "yes", class: "primary" }, yes)));
    const dialog = element("dialog", { class: "card", "aria-label": yes }, form);
    // Enter in a field presses the first button of the form, which is «no».
    form.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !event.target.matches("input")) return;
      event.preventDefault();
      form.requestSubmit(form.querySelector("[value=yes]"));
    });
    dialog.addEventListener("close", () => { resolve(dialog.returnValue === "yes" ? Object.fromEntries(new FormData(form)) : null); dialog.remove(); });
    document.body.append(dialog);
    dialog.showModal();
  });
}
