// The page: sends prompts to the worker and shows what comes back. It computes nothing itself.
const form = document.querySelector("form");
const status = document.querySelector("[role=status]");
const output = document.querySelector("output");
const { prompt, stop } = form.elements;

const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });

form.addEventListener("submit", (event) => {
  event.preventDefault();
  output.textContent = prompt.value;
  stop.disabled = false;
  worker.postMessage({ type: "write", prompt: prompt.value });
});

stop.addEventListener("click", () => worker.postMessage({ type: "stop" }));

worker.addEventListener("message", ({ data }) => {
  if (data.type === "text") output.textContent += data.text;
  if (data.type === "status") status.textContent = data.message;
  if (data.type === "end") stop.disabled = true;
});
