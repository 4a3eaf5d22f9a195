// The chat page: one conversation, streamed from /v1/chat/completions of this server.
(() => {
  "use strict";
  const at = (id) => document.getElementById(id);
  const turns = at("turns"), prompt = at("prompt"), state = at("state");
  const messages = [];
  let running = null;

  function show(role, text) {
    const turn = document.createElement("article");
    turn.className = `turn ${role}`;
    const title = document.createElement("h2");
    title.textContent = { user: "You", assistant: document.body.dataset.model, error: "Error" }[role];
    const body = document.createElement("p");
    body.dir = "auto";
    body.textContent = text;
    turn.append(title, body);
    turns.append(turn);
    turn.scrollIntoView({ block: "nearest" });
    return body;
  }

  function settings() {
    const number = (id) => (at(id).value === "" ? undefined : Number(at(id).value));
    return {
      temperature: number("temperature"), top_p: number("top_p"), seed: number("seed"),
      max_tokens: number("max_tokens"), stop: at("stop_at").value || undefined,
    };
  }

  async function* events(response) {  // server-sent events, one JSON object each
    const reader = response.body.getReader(), decoder = new TextDecoder();
    for (let rest = ""; ;) {
      const { value, done } = await reader.read();
      if (done) return;
      rest += decoder.decode(value, { stream: true });
      const parts = rest.split("\n\n");
      rest = parts.pop();
      for (const part of parts) {
        if (part.startsWith("data: ") && part !== "data: [DONE]") yield JSON.parse(part.slice(6));
      }
    }
  }

  async function post(signal) {
    const headers = { "Content-Type": "application/json" };
    if (at("token").value) headers.Authorization = `Bearer ${at("token").value}`;
    const system = at("system").value;
    const all = [...(system ? [{ role: "system", content: system }] : []), ...messages];
    const body = JSON.stringify({
      model: at("document") ? at("document").value : document.body.dataset.model, messages: all, stream: true,
      stream_options: { include_usage: true }, ...settings(),
    });
    const response = await fetch("/v1/chat/completions", { method: "POST", headers, body, signal });
    if (!response.ok) throw new Error((await response.json()).error.message);
    return response;
  }

  function append(body, chunk, answer) {
    const text = chunk.choices.length ? chunk.choices[0].delta.content : "";
    if (!text) return answer;
    const span = document.createElement("span");
    span.textContent = text;
    if (chunk.drafted) { span.className = "drafted"; span.title = "a draft had this right"; }
    body.append(span);
    return answer + text;
  }

  function cite(turn, spans) {  // what of the document was read for the answer
    const all = document.createElement("details"), summary = document.createElement("summary");
    const list = document.createElement("ol");
    all.className = "spans";
    summary.textContent = `${spans.length} ${spans.length === 1 ? "span" : "spans"} of the document read`;
    for (const span of spans) {
      const item = document.createElement("li"), place = document.createElement("b");
      const quote = document.createElement("q");
      place.textContent = span.page ? `${span.file}, page ${span.page}` : `${span.file}, line ${span.line}`;
      quote.textContent = span.text.trim();
      quote.dir = "auto";
      item.append(place, quote);
      list.append(item);
    }
    all.append(summary, list);
    turn.append(all);
  }

  function count(body, usage, seconds) {
    const small = document.createElement("small");
    const drafted = usage.completion_tokens_details.accepted_prediction_tokens;
    small.textContent = `${usage.completion_tokens} tokens, ${drafted} of them drafted, ` +
      `${(usage.completion_tokens / seconds).toFixed(1)} tokens a second`;
    body.after(small);
  }

  async function ask(text) {
    messages.push({ role: "user", content: text });
    show("user", text);
    running = new AbortController();
    at("send").disabled = true; at("stop").disabled = false;
    state.textContent = "writing";
    const body = show("assistant", ""), started = performance.now();
    let answer = "", problem = "";
    try {
      for await (const chunk of events(await post(running.signal))) {
        if (chunk.error) throw new Error(chunk.error.message);
        answer = append(body, chunk, answer);
        const spans = chunk.choices.length ? chunk.choices[0].spans : undefined;
        if (spans && spans.length) cite(body.parentElement, spans);
        if (chunk.usage) count(body, chunk.usage, (performance.now() - started) / 1000);
        body.parentElement.scrollIntoView({ block: "end" });
      }
    } catch (error) {
      if (error.name !== "AbortError") problem = error.message;
    }
    if (answer) messages.push({ role: "assistant", content: answer });
    else { messages.pop(); body.parentElement.remove(); }
    if (problem) show("error", problem);
    running = null;
    at("send").disabled = false; at("stop").disabled = true;
    state.textContent = problem ? "failed" : "ready";
    prompt.focus();
  }

  at("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = prompt.value.trim();
    if (!text || running) return;
    prompt.value = "";
    ask(text);
  });
  prompt.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      at("ask").requestSubmit();
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && running) running.abort();
  }, true);
  at("stop").addEventListener("click", () => running && running.abort());
  at("clear").addEventListener("click", () => {
    if (running) running.abort();
    messages.length = 0;
    turns.replaceChildren();
    prompt.focus();
  });
  const mark = () => turns.classList.toggle("marked", at("colour").checked);
  at("colour").addEventListener("change", mark);
  mark();
  state.textContent = "ready";
})();
