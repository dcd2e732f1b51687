/**
 * Where the values of a JSON text stand in it. Pure functions, without the page.
 *
 * A text that is still being written is read up to its first fault, so that what stands before it can be found.
 *
 * @typedef {{start: number, end: number, members?: Map<string, Member>, items?: Value[]}} Value
 * @typedef {{start: number, end: number, value: Value | null}} Member `start` and `end` are those of the key
 * @typedef {{kind: string, offset: number}} Fault `kind` is a key of the words, without `json.`
 * @typedef {{start: number, end: number, isExact: boolean}} Range
 */

/** How deeply the service lets a job be nested. */
export const MAX_DEPTH = 64;

const SPACE = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const WORD = /true|false|null/y;
const HEX = /^[0-9a-fA-F]{4}$/;
const INDEX = /^(?:0|[1-9][0-9]*)$/;
const MAX_INTEGER = 2n ** 63n;

/**
 * Read a text. The fault is the first thing that the service would refuse as JSON, null if there is nothing.
 *
 * @returns {{root: Value | null, fault: Fault | null}}
 */
export function scan(text) {
  const scanner = new Scanner(text);
  try {
    scanner.document();
  } catch (error) {
    if (error !== STOP) throw error;
  }
  return { root: scanner.root, fault: scanner.fault };
}

const STOP = Symbol("the text cannot be read further");

class Scanner {
  constructor(text) {
    this.text = text;
    this.at = 0;
    this.depth = 0;
    this.root = null;
    this.fault = null;
  }

  document() {
    this.space();
    this.value((root) => { this.root = root; });
    this.space();
    if (this.at < this.text.length) this.stop("end");
  }

  /** Read a value. `keep` gets it before it is complete, so that it is there if the rest of it cannot be read. */
  value(keep) {
    const value = { start: this.at, end: this.text.length };
    const first = this.text[this.at];
    if (first === "{") this.object(value, keep);
    else if (first === "[") this.array(value, keep);
    else if (first === '"') { keep(value); this.string(); }
    else this.scalar(value, keep);
    value.end = this.at;
  }

  object(value, keep) {
    value.members = new Map();
    keep(value);
    this.enter();
    if (this.closes("}")) return;
    do {
      this.space();
      if (this.text[this.at] !== '"') this.stop("key");
      const member = { start: this.at, end: this.at, value: null };
      const key = this.string();
      member.end = this.at;
      if (value.members.has(key)) this.note("duplicate", member.start);
      value.members.set(key, member);
      this.space();
      if (this.text[this.at] !== ":") this.stop("colon");
      this.at += 1;
      this.space();
      this.value((read) => { member.value = read; });
    } while (this.continues("}", "object_end"));
  }

  array(value, keep) {
    value.items = [];
    keep(value);
    this.enter();
    if (this.closes("]")) return;
    do {
      this.space();
      this.value((item) => value.items.push(item));
    } while (this.continues("]", "array_end"));
  }

  enter() {
    this.depth += 1;
    if (this.depth > MAX_DEPTH) this.stop("deep");
    this.at += 1;
  }

  closes(bracket) {
    this.space();
    if (this.text[this.at] !== bracket) return false;
    this.at += 1;
    this.depth -= 1;
    return true;
  }

  continues(bracket, kind) {
    if (this.closes(bracket)) return false;
    if (this.text[this.at] !== ",") this.stop(kind);
    this.at += 1;
    return true;
  }

  /** Read a string and return what it means. */
  string() {
    const start = this.at;
    this.at += 1;
    let isPlain = true;
    for (;;) {
      const code = this.text.charCodeAt(this.at);
      if (Number.isNaN(code)) this.stop("string_end", start);
      if (code === 34) break;
      if (code < 32) this.stop("control");
      if (code === 92) {
        isPlain = false;
        this.escape();
      } else this.at += 1;
    }
    this.at += 1;
    const raw = this.text.slice(start, this.at);
    const meant = isPlain ? raw.slice(1, -1) : JSON.parse(raw);
    if (/[\0\p{Surrogate}]/u.test(meant)) this.note("character", start);
    return meant;
  }

  escape() {
    const letter = this.text[this.at + 1];
    if (letter === "u" && HEX.test(this.text.slice(this.at + 2, this.at + 6))) this.at += 6;
    else if (letter && '"\\/bfnrt'.includes(letter)) this.at += 2;
    else this.stop("escape");
  }

  scalar(value, keep) {
    const word = this.match(WORD);
    const number = word ? "" : this.match(NUMBER);
    if (!word && !number) this.stop("value");
    if (number && !isInRange(number)) this.note("number", value.start);
    keep(value);
  }

  match(pattern) {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0] ?? "";
    this.at += found.length;
    return found;
  }

  space() {
    this.match(SPACE);
  }

  /** Remember a fault, and go on. */
  note(kind, offset) {
    this.fault ??= { kind, offset };
  }

  stop(kind, offset = this.at) {
    this.note(kind, offset);
    throw STOP;
  }
}

function isInRange(number) {
  if (/[.eE]/.test(number)) return Number.isFinite(Number(number));
  if (number.length < 19) return true;
  if (number.length > 20) return false;
  const value = BigInt(number);
  return -MAX_INTEGER <= value && value < MAX_INTEGER;
}

/**
 * Find the value of a JSON pointer (RFC 6901). Where the text does not have it, the nearest value around it is found: of
 * an object or an array only the bracket that opens it, and `isExact` is false.
 *
 * @param {Value | null} root
 * @param {string} pointer
 * @param {{wantsKey?: boolean}} options `wantsKey`: find the key of a member in place of its value
 * @returns {Range | null} null where the pointer is not one, or the text has no value
 */
export function locate(root, pointer, { wantsKey = false } = {}) {
  if (!root || (pointer && !pointer.startsWith("/"))) return null;
  let value = root;
  let key = null;
  for (const token of pointer.split("/").slice(1)) {
    const name = token.replaceAll("~1", "/").replaceAll("~0", "~");
    const member = value.members?.get(name) ?? null;
    const next = value.members ? member?.value : value.items && INDEX.test(name) ? value.items[Number(name)] : null;
    if (!next) return member ? { start: member.start, end: member.end, isExact: false } : beginning(value);
    value = next;
    key = member;
  }
  const { start, end } = wantsKey && key ? key : value;
  return { start, end, isExact: true };
}

function beginning(value) {
  const isContainer = value.members || value.items;
  return { start: value.start, end: isContainer ? value.start + 1 : value.end, isExact: false };
}

/** The lines of a text: from offsets to lines and columns, both counted from 1, and back. Columns are characters. */
export class Lines {
  constructor(text) {
    this.text = text;
    this.starts = [0];
    for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) this.starts.push(at + 1);
  }

  get count() {
    return this.starts.length;
  }

  lineOf(offset) {
    let low = 0;
    let high = this.starts.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.starts[middle] <= offset) low = middle;
      else high = middle;
    }
    return low + 1;
  }

  columnOf(offset) {
    return [...this.text.slice(this.starts[this.lineOf(offset) - 1], offset)].length + 1;
  }

  offsetOf(line, column) {
    const start = this.starts[Math.min(line, this.starts.length) - 1];
    const characters = [...this.text.slice(start, this.starts[line] ?? this.text.length)];
    return start + characters.slice(0, column - 1).join("").length;
  }
}
