/** The queue and the workers, kept up to date by the service's own rendering of them. */

import { pollRendered } from "./polling.js";

const SECONDS = 5;

pollRendered(SECONDS);
