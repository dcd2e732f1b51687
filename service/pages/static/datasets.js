/** Data sets: a file is dropped or chosen, and uploaded with a bar. */

import { ApiError, goToLogin } from "./api.js";
import { pageUrl, refresh, say, t } from "./dom.js";

const form = document.getElementById("upload");
const chosen = document.getElementById("upload-file");
const name = document.getElementById("upload-name");
/** Absent if there is one project alone. */
const project = document.getElementById("upload-project");
const state = document.getElementById("upload-state");
const bar = document.getElementById("upload-progress");
const text = document.getElementById("upload-text");

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (chosen.files.length) upload(chosen.files[0]);
  else say(t("datasets.choose"), "error");
});

document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dragging");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  const file = event.dataTransfer.files[0];
  if (!file) return;
  if (!name.value) name.value = nameOf(file);
  upload(file);
});
chosen.addEventListener("change", () => {
  if (chosen.files.length && !name.value) name.value = nameOf(chosen.files[0]);
});

/** Return a file's name as a name of a data set: without its ending, and with `-` for what such names cannot have. */
function nameOf(file) {
  return file.name.replace(/\.(npz|npy|keras|weights\.h5|h5)$/i, "").replace(/[^A-Za-z0-9._-]+/g, "-").replace(/^[^A-Za-z0-9]+/, "").slice(0, 128);
}

async function upload(file) {
  if (!form.reportValidity()) return;
  state.hidden = false;
  try {
    const dataset = await send(file, parameters());
    say(t("datasets.uploaded", { name: dataset.name }));
    location.assign(pageUrl(`/datasets/${encodeURIComponent(dataset.id)}`));
  } catch (error) {
    if (error) say(error.text ?? error.message, "error");
    await refresh();
  } finally {
    state.hidden = true;
  }
}

function parameters() {
  const given = Object.entries({ name: name.value, project: project?.value }).filter(([, value]) => value);
  return new URLSearchParams(given);
}

/** `fetch` does not tell how much it has sent. */
function send(file, query) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `${document.body.dataset.api}/datasets?${query}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => {
      bar.value = event.total ? event.loaded / event.total : 0;
      text.textContent = event.loaded < event.total ? `${Math.floor(100 * bar.value)} %` : t("datasets.inspecting");
    });
    request.addEventListener("load", () => {
      if (request.status === 401) goToLogin();
      if (request.status < 300) resolve(request.response);
      else reject(new ApiError(request.status, request.response));
    });
    request.addEventListener("error", () => reject(new Error(t("no_answer"))));
    request.addEventListener("abort", () => reject(null));
    document.getElementById("upload-stop").onclick = () => request.abort();
    request.send(file);
  });
}
