/** Requests that may not arrive. */

/** The service cannot be reached, or cannot answer now: trying again later may help. */
export class Unreachable extends Error {}

/** As `fetch`, but a connection that fails and an answer that says «later» raise `Unreachable`. */
export async function reach(url, options = {}) {
  let response;
  try {
    response = await fetch(url, { ...options, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unreachable(error.message);
  }
  if ([502, 504].includes(response.status)) throw new Unreachable(`HTTP ${response.status}`);
  return response;
}
