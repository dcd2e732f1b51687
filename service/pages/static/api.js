/** Calls of the service's own API. A page has no token: the browser sends the cookie of its login session. */

import { pageUrl } from "./dom.js";
import { reach } from "./reach.js";

/**
 * An answer that is an error: `status`, the problem document of RFC 9457 if there is one, and after how many seconds a
 * busy service wants to be asked again, null if it does not say so.
 */
export class ApiError extends Error {
  /** Whether the same request may succeed later. */
  get isTemporary() {
    return this.status === 429 || this.status >= 500;
  }

  constructor(status, problem, retryAfter = null) {
    super(problem?.detail ?? `HTTP ${status}`);
    this.status = status;
    this.problem = problem;
    this.retryAfter = retryAfter;
  }

  /** What is wrong, with all faults. */
  get text() {
    const faults = (this.problem?.errors ?? []).map((fault) => `${fault.pointer || "/"}: ${fault.message}`);
    return [this.message, ...faults].join("\n");
  }
}

/** Send a request to a path below `/api/v1`. Resolves to the JSON of the answer, null if it has none. */
export async function call(method, path, body = undefined, options = {}) {
  const response = await send(method, path, body, options);
  const text = await response.text();
  return text && response.status !== 304 ? JSON.parse(text) : null;
}

/** Cancel, pause, resume, extend, change, move or delete a job. */
export function perform(action, jobId, body = undefined) {
  const path = `/jobs/${encodeURIComponent(jobId)}`;
  const method = { delete: "DELETE", change: "PATCH" }[action];
  return method ? call(method, path, body) : call("POST", `${path}/${action}`, body);
}

/** Drain a worker, or end that. */
export function performDrain(method, workerId, body = undefined) {
  return call(method, `/workers/${encodeURIComponent(workerId)}/drain`, body);
}

/** As `call`, but resolves to the response, which may be a 304. */
export async function send(method, path, body = undefined, { headers = {}, signal } = {}) {
  const json = body === undefined ? {} : { "Content-Type": "application/json" };
  const response = await reach(document.body.dataset.api + path, {
    method,
    headers: { Accept: "application/json", ...json, ...headers },
    body: body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body),
    signal,
  });
  if (response.ok || response.status === 304) return response;
  if (response.status === 401) goToLogin();
  throw new ApiError(response.status, await response.json().catch(() => null), retryAfter(response));
}

function retryAfter(response) {
  const seconds = Number(response.headers.get("Retry-After") ?? NaN);
  return Number.isFinite(seconds) ? seconds : null;
}

export function goToLogin() {
  const here = location.pathname.slice(document.body.dataset.root.length) + location.search;
  location.assign(`${pageUrl("/login")}?next=${encodeURIComponent(here)}`);
}
