/** The scale and the axis of the curves, chosen above them and kept in the address of the page. */

import { parameter, setParameters } from "./dom.js";

/** Return what is chosen, `{isLog, axis}`, which changes with the choice; `draw` is called then. */
export function curveControls(draw) {
  const chosen = { isLog: parameter("scale") === "log", axis: parameter("x") === "time" ? "time" : "epoch" };
  const logScale = document.getElementById("log-scale");
  const axis = document.getElementById("curve-x");
  logScale.checked = chosen.isLog;
  axis.value = chosen.axis;
  logScale.addEventListener("change", () => {
    chosen.isLog = logScale.checked;
    setParameters({ scale: chosen.isLog ? "log" : null });
    draw();
  });
  axis.addEventListener("change", () => {
    chosen.axis = axis.value;
    setParameters({ x: axis.value === "time" ? "time" : null });
    draw();
  });
  return chosen;
}
