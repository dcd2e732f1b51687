/** The list of jobs: kept up to date by the service's own rendering of it, so that its words exist once. */

import "./clipboard.js";
import { refresh } from "./dom.js";
import { poll } from "./polling.js";

const SECONDS = 3;

poll(() => refresh(), () => SECONDS);
