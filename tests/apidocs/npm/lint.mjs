// Prints what Redocly, Spectral and Scalar find wrong in the OpenAPI documents (files) that the command line names after
// the folder of their packages, as JSON: {file: {linter: [[severity, rule or message, place], …]}}.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, ...files] = process.argv.slice(2);
const require = createRequire(`${folder}/`);
const { createConfig, lintFromString } = require("@redocly/openapi-core");
const { Spectral } = require("@stoplight/spectral-core");
const { oas } = require("@stoplight/spectral-rulesets");
const { validate } = await import(pathToFileURL(`${folder}/@scalar/openapi-parser/dist/index.js`));

const SEVERITIES = ["error", "warn", "information", "hint"];

async function redocly(text, name) {
  const config = await createConfig({ extends: ["recommended"] });
  const found = await lintFromString({ source: text, absoluteRef: name, config });
  return found.map((one) => [one.severity, one.ruleId, one.location[0]?.pointer ?? ""]);
}

async function spectral(text) {
  const linter = new Spectral();
  linter.setRuleset({ extends: [oas] });
  const found = await linter.run(JSON.parse(text));
  return found.map((one) => [SEVERITIES[one.severity], one.code, one.path.join(" ")]);
}

async function scalar(text) {
  const { errors } = await validate(text);
  return errors.map((one) => ["error", one.message, String(one.path ?? "")]);
}

const found = {};
for (const file of files) {
  const text = readFileSync(file, "utf-8");
  found[file] = {
    Redocly: await redocly(text, file),
    Spectral: await spectral(text),
    Scalar: await scalar(text),
  };
}
console.log(JSON.stringify(found));
