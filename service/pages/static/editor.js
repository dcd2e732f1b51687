/** A textarea with line numbers, marked lines, and a Tab key that indents and does not trap the keyboard. */

import { Lines } from "./json_text.js";

const INDENT = "  ";

export class Editor {
  /**
   * @param {HTMLElement} box holds a textarea and an element of the class `gutter`
   * @param {() => void} onChange is called when the text has changed
   */
  constructor(box, onChange) {
    this.area = box.querySelector("textarea");
    this.gutter = box.querySelector(".gutter");
    this.marks = new Map();
    this.leaves = false;
    this.area.addEventListener("input", () => { this.number(); onChange(); });
    this.area.addEventListener("scroll", () => { this.gutter.scrollTop = this.area.scrollTop; });
    this.area.addEventListener("keydown", (event) => this.press(event));
    this.area.addEventListener("blur", () => { this.leaves = false; });
    this.number();
  }

  get text() {
    return this.area.value;
  }

  /** Replace the whole text, so that undo brings the old one back. */
  replace(text) {
    this.area.focus();
    this.area.select();
    if (text === "") this.insert("", "delete");
    else this.insert(text);
    this.area.setSelectionRange(0, 0);
    this.area.scrollTop = 0;
  }

  /** Mark lines in the gutter. @param {Map<number, "fault" | "notice">} marks */
  mark(marks) {
    this.marks = marks;
    this.number();
  }

  /** Select a range, and scroll it into view. */
  select(start, end) {
    this.area.focus();
    this.area.scrollIntoView({ block: "nearest" });
    this.area.setSelectionRange(start, end);
    const lines = new Lines(this.text);
    const style = getComputedStyle(this.area);
    const top = (lines.lineOf(start) - 1) * parseFloat(style.lineHeight);
    const left = (lines.columnOf(start) - 1) * widthOfCharacter(style);
    const isVisible = top >= this.area.scrollTop && top < this.area.scrollTop + this.area.clientHeight * 0.8;
    if (!isVisible) this.area.scrollTop = top - this.area.clientHeight / 3;
    this.area.scrollLeft = left < this.area.clientWidth * 0.7 ? 0 : left - this.area.clientWidth / 3;
  }

  /** Write the line numbers. Only marked lines are elements. */
  number() {
    const count = new Lines(this.text).count;
    const parts = [];
    let plain = "";
    for (let line = 1; line <= count; line += 1) {
      const mark = this.marks.get(line);
      if (!mark) {
        plain += `${line}\n`;
        continue;
      }
      const number = document.createElement("span");
      number.className = mark;
      number.textContent = String(line);
      parts.push(plain, number, "\n");
      plain = "";
    }
    this.gutter.replaceChildren(...parts, plain);
    this.gutter.scrollTop = this.area.scrollTop;
  }

  press(event) {
    if (event.isComposing) return;
    if (event.key === "Tab" && !event.ctrlKey && !event.altKey && !event.metaKey) {
      if (this.leaves) return;
      event.preventDefault();
      if (event.shiftKey || this.selectsLines()) this.shift(event.shiftKey);
      else this.insert(INDENT);
    } else if (event.key === "Enter" && !event.ctrlKey && !event.altKey && !event.metaKey) {
      event.preventDefault();
      this.insert(`\n${this.margin()}`);
    }
    // Shift alone is on its way to Shift+Tab.
    if (event.key !== "Shift") this.leaves = event.key === "Escape";
  }

  selectsLines() {
    return this.text.slice(this.area.selectionStart, this.area.selectionEnd).includes("\n");
  }

  /** Return the spaces with which the line begins that the cursor is in. */
  margin() {
    const before = this.text.slice(0, this.area.selectionStart);
    return /^[ \t]*/.exec(before.slice(before.lastIndexOf("\n") + 1))[0];
  }

  /** Move the selected lines to the right, or to the left. */
  shift(isLeft) {
    const start = this.text.lastIndexOf("\n", this.area.selectionStart - 1) + 1;
    const last = Math.max(this.area.selectionStart, this.area.selectionEnd - 1);
    const end = this.text.indexOf("\n", last) === -1 ? this.text.length : this.text.indexOf("\n", last);
    const before = this.text.slice(start, end);
    const after = isLeft ? before.replace(/^(?: {1,2}|\t)/gm, "") : before.replace(/^(?=[^\n])/gm, INDENT);
    if (after === before) return;
    const cursor = this.area.selectionStart;
    const isOneLine = !this.selectsLines();
    this.area.setSelectionRange(start, end);
    this.insert(after, after ? "insertText" : "delete");
    if (isOneLine) this.area.setSelectionRange(...Array(2).fill(Math.max(start, cursor + after.length - before.length)));
    else this.area.setSelectionRange(start, start + after.length);
  }

  insert(text, command = "insertText") {
    // Deprecated, and the only way to write into a textarea that undo knows of.
    if (document.execCommand(command, false, text)) return;
    this.area.setRangeText(text, this.area.selectionStart, this.area.selectionEnd, "end");
    this.area.dispatchEvent(new Event("input"));
  }
}

function widthOfCharacter(style) {
  const context = document.createElement("canvas").getContext("2d");
  context.font = `${style.fontSize} ${style.fontFamily}`;
  return context.measureText("0").width;
}
