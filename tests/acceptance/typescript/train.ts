// Submits a job with the generated types, waits for its end, and writes its best weights to a file.

import { writeFile } from "node:fs/promises";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

const [url, token, path] = process.argv.slice(2) as [string, string, string];
const api = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${token}` } });

const job: components["schemas"]["NewJob"] = {
  name: "typescript",
  model: {
    class_name: "Sequential",
    config: {
      layers: [
        { class_name: "Input", config: { shape: [8, 8] } },
        { class_name: "Flatten" },
        { class_name: "Dense", config: { units: 10, activation: "softmax" } },
      ],
    },
  },
  compile: { optimizer: "adam", loss: "sparse_categorical_crossentropy", metrics: ["accuracy"] },
  data: { dataset: "digits", x: "x_train", y: "y_train", validation: { x: "x_test", y: "y_test" } },
  fit: { epochs: 2 },
};

const created = await api.POST("/api/v1/jobs", { body: job, params: { header: { "Idempotency-Key": "typescript" } } });
if (!created.data || !("id" in created.data)) throw new Error(JSON.stringify(created.error));
const params = { path: { job_id: created.data.id } };

let state: components["schemas"]["JobState"] | undefined = created.data.state;
let etag = "";
while (state === "queued" || state === "running") {
  const query = { fields: ["state" as const, "message" as const], wait: 30 };
  const header = etag ? { "If-None-Match": etag } : {};
  const polled = await api.GET("/api/v1/jobs/{job_id}", { params: { ...params, query, header } });
  if (polled.response.status === 304) continue;
  if (!polled.data) throw new Error(JSON.stringify(polled.error));
  state = polled.data.state;
  etag = polled.response.headers.get("ETag") ?? "";
}

const weights = await api.GET("/api/v1/jobs/{job_id}/weights/best", { params, parseAs: "arrayBuffer" });
if (!weights.data) throw new Error(JSON.stringify(weights.error));
await writeFile(path, Buffer.from(weights.data as unknown as ArrayBuffer));
console.log(JSON.stringify({ id: created.data.id, state }));
