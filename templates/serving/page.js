"use strict";

const form = document.getElementById("form");
const body = document.getElementById("body");
const answer = document.getElementById("answer");
const state = document.getElementById("status");
const curl = document.getElementById("curl");
const button = document.getElementById("predict");
const controls = Array.from(form.querySelectorAll("[data-part]"));
const url = new URL("invocations", document.baseURI).href;

// Numbers stay the text that they are: JavaScript would round long ones.
const NUMBER = /^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$/;

function written(control) {
  const text = control.value.trim();
  if (control.dataset.kind === "text") {
    return control.value === "" && !control.required ? "null" : JSON.stringify(control.value);
  }
  if (text === "") return "null";
  if (control.dataset.kind === "boolean") return text;
  const good = NUMBER.test(text);
  control.setCustomValidity(good ? "" : "a number, such as 1.5");
  return good ? text : JSON.stringify(text);
}

function ofPart(part) {
  return controls.filter((control) => control.dataset.part === part);
}

function fill() {
  const columns = ofPart("column");
  if (columns.length) {
    const names = columns.map((control) => JSON.stringify(control.dataset.name));
    const row = columns.map(written);
    const params = ofPart("param")
      .filter((control) => control.value !== "")
      .map((control) => `${JSON.stringify(control.dataset.name)}: ${written(control)}`);
    const more = params.length ? `,\n  "params": {${params.join(", ")}}` : "";
    body.value =
      `{\n  "dataframe_split": {\n    "columns": [${names.join(", ")}],\n` +
      `    "data": [\n      [${row.join(", ")}]\n    ]\n  }${more}\n}`;
  }
  tell();
}

function tell() {
  const data = body.value.replaceAll("'", "'\\''");
  curl.textContent = `curl ${url} -H 'Content-Type: application/json' -d '${data}'`;
}

async function predict() {
  button.disabled = true;
  state.textContent = "asking";
  const start = performance.now();
  try {
    const reply = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: body.value,
    });
    show(await reply.text(), reply.ok);
    state.textContent = `${reply.status}, ${Math.round(performance.now() - start)} ms`;
  } catch (error) {
    show("the server does not answer", false);
    state.textContent = "";
  }
  button.disabled = false;
}

function show(text, good) {
  answer.textContent = text;
  answer.classList.toggle("bad", !good);
}

async function copy() {
  try {
    await navigator.clipboard.writeText(curl.textContent);
    state.textContent = "copied";
  } catch (error) {
    getSelection().selectAllChildren(curl);
    state.textContent = "selected; copy it with the keyboard";
  }
}

document.getElementById("params").hidden = !ofPart("param").length;
form.addEventListener("input", fill);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  predict();
});
body.addEventListener("input", tell);
button.addEventListener("click", predict);
document.getElementById("copy").addEventListener("click", copy);
fill();
