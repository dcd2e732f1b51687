/** The queue and the workers, kept up to date by the service's own rendering of them. */

import { refresh } from "./dom.js";
import { poll } from "./polling.js";

const SECONDS = 5;

poll(() => refresh(), () => SECONDS);
