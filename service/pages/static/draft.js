/** What somebody writes survives a reload, a login and a lost connection: this tab keeps it under the page's address. */

const NAME = `new-job ${location.pathname}${location.search}`;

/** @returns {{text: string, key: string} | null} */
export function readDraft() {
  try {
    const draft = JSON.parse(sessionStorage.getItem(NAME));
    return typeof draft?.text === "string" && typeof draft.key === "string" ? draft : null;
  } catch {
    return null;
  }
}

/** Keep a draft. Returns whether the browser does: its storage may be full, or switched off. */
export function keepDraft(draft) {
  try {
    sessionStorage.setItem(NAME, JSON.stringify(draft));
    return true;
  } catch {
    return false;
  }
}

export function forgetDraft() {
  try {
    sessionStorage.removeItem(NAME);
  } catch {
    // Without a storage there is nothing to forget.
  }
}
