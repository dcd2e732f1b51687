/** What a page that compares jobs knows of one of them: its epochs, as columns, and the series of them. */

import { RATE } from "./curves.js";

export class ComparedJob {
  constructor(id, slot) {
    this.id = id;
    /** The number of its colour. */
    this.slot = slot;
    this.isLoaded = false;
    this.isHidden = false;
    this.etag = null;
    this.epochs = [];
    this.times = [];
    this.attempts = [];
    this.columns = new Map();
    this.rates = [];
    this.series = new Map();
  }

  get lastEpoch() {
    return this.epochs.at(-1) ?? 0;
  }

  get lastAttempt() {
    return this.attempts.at(-1) ?? 0;
  }

  /** Add rows of the API. */
  add(rows) {
    for (const row of rows) {
      const i = this.epochs.length;
      this.epochs.push(row.epoch);
      this.times.push(Date.parse(row.finished_at));
      this.rates.push(row.learning_rate);
      this.attempts.push(row.attempt);
      for (const [name, value] of Object.entries(row.metrics)) {
        if (name === RATE) continue;
        if (!this.columns.has(name)) this.columns.set(name, { values: [], words: [] });
        const column = this.columns.get(name);
        column.values[i] = value;
        if (value === null) column.words[i] = row.non_finite_values[name] ?? "NaN";
      }
    }
    if (rows.length) this.series.clear();
  }

  /** Forget the epochs after this one: another attempt has replaced them. */
  truncate(epoch) {
    const length = countUpTo(this.epochs, epoch);
    if (length === this.epochs.length) return;
    for (const values of [this.epochs, this.times, this.attempts, this.rates]) values.length = length;
    for (const { values, words } of this.columns.values()) {
      values.length = Math.min(values.length, length);
      words.length = Math.min(words.length, length);
    }
    this.series.clear();
  }

  /** Return the series of a metric, the same object until there are new epochs. `time`: seconds of one unit, or null. */
  seriesOf(name, started, unit) {
    const key = `${name}|${unit}`;
    if (!this.series.has(key)) this.series.set(key, this.#makeSeries(this.columns.get(name), started, unit));
    return this.series.get(key);
  }

  rateSeries(started, unit) {
    const key = `|${unit}`;
    if (!this.series.has(key)) this.series.set(key, this.#makeSeries({ values: this.rates.map((rate) => rate ?? undefined), words: [] }, started, unit));
    return this.series.get(key);
  }

  #makeSeries(column, started, unit) {
    const made = { x: [], y: [], words: [] };
    column?.values.forEach((value, i) => {
      if (value === undefined) return;
      made.x.push(unit ? (this.times[i] - started) / 1000 / unit : this.epochs[i]);
      made.y.push(value);
      made.words.push(column.words[i]);
    });
    return made;
  }

  /** Return the place of an epoch among those that are known; -1 if it is not. */
  indexOfEpoch(epoch) {
    const i = countUpTo(this.epochs, epoch) - 1;
    return this.epochs[i] === epoch ? i : -1;
  }

  /** Return the place of the epoch that ended last before a moment; -1 before the first, and after the last. */
  indexOfTime(moment) {
    return moment > (this.times.at(-1) ?? 0) ? -1 : countUpTo(this.times, moment) - 1;
  }

  /** Return a value as text; an empty one if the metric was not logged. */
  textAt(name, i) {
    const column = this.columns.get(name);
    const value = column?.values[i];
    if (value === undefined) return "";
    return value === null ? column.words[i] : String(Number(value.toPrecision(6)));
  }
}

function countUpTo(sorted, limit) {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] <= limit) low = middle + 1;
    else high = middle;
  }
  return low;
}
