// What GitHub's own evaluator says of expressions: from JSON on standard input to JSON on standard
// output. The only argument is the folder of the npm package @actions/expressions.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const folder = pathToFileURL(process.argv[2] + "/");
const { Lexer, Parser, Evaluator } = await import(new URL("dist/index.js", folder));
const { reviver } = await import(new URL("dist/data/reviver.js", folder));
const { replacer } = await import(new URL("dist/data/replacer.js", folder));

const asked = JSON.parse(readFileSync(0, "utf8"));
const context = JSON.parse(JSON.stringify(asked.contexts), reviver);
const told = asked.expressions.map((source) => {
  try {
    const parser = new Parser(new Lexer(source).lex().tokens, Object.keys(asked.contexts), []);
    const value = new Evaluator(parser.parse(), context).evaluate();
    return { value: JSON.parse(JSON.stringify(value, replacer) ?? "null"), text: value.coerceString() };
  } catch (error) {
    return { error: true };
  }
});
process.stdout.write(JSON.stringify(told));
