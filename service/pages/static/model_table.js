/** The layers of a model, its parameters and its memory, as the macro `model` of the templates shows them. */

import { element, t } from "./dom.js";

const UNITS = ["B", "kB", "MB", "GB"];
const count = (number) => number.toLocaleString("en-US");

/** Return the elements that show a model. `title` is the id of the heading above them. */
export function modelTable(model, title) {
  const parameters = t("model.parameters", { count: count(model.parameters), trainable: count(model.trainable_parameters) });
  const headings = ["layer", "class", "shape", "count"].map((key) => element("th", { scope: "col" }, t(`model.${key}`)));
  return [
    element("p", {}, `${parameters} · ${t("model.memory", { size: size(model.memory.total) })}`),
    element("div", { class: "scrolls", tabindex: 0, role: "region", "aria-labelledby": title },
      element("table", {}, element("thead", {}, element("tr", {}, ...headings)), element("tbody", {}, ...model.layers.map(row)))),
  ];
}

function row(layer) {
  const shapes = layer.output_shapes.map((shape) => `(${shape.map((axis) => axis ?? "–").join(", ")})`).join(" ");
  return element("tr", {},
    element("td", {}, layer.name), element("td", {}, layer.class_name),
    element("td", { class: "figures" }, shapes), element("td", {}, count(layer.parameters)));
}

/** Write a number of bytes with a decimal unit. */
export function size(bytes) {
  let amount = bytes;
  for (const unit of UNITS) {
    if (amount < 1000) return `${amount.toFixed(unit === "B" ? 0 : 1)} ${unit}`;
    amount /= 1000;
  }
  return `${amount.toFixed(1)} TB`;
}
