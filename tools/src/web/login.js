"use strict";
// Asks for the token; it goes to this server in the body of a request and is kept nowhere here.
const field = el("input", { type: "password", autocomplete: "off", "aria-label": "Token", style: "font:inherit;padding:6px 10px;border:1px solid var(--line);border-radius:7px;background:var(--card);color:var(--ink);width:100%" });
const said = el("p", { class: "bad", role: "status" });
const form = el("form", { class: "card", style: "max-width:420px;margin:15vh auto 0;display:grid;gap:10px", on: { submit: async event => {
  event.preventDefault();
  const answer = await fetch("/login", { method: "POST", body: field.value, redirect: "manual" });
  if (answer.type === "opaqueredirect" || answer.ok) location.reload(); else said.textContent = "That is not the token.";
} } }, el("h2", {}, "spinquote"), el("p", { class: "soft" }, "This page needs the token that sq web was started with."), field, el("button", {}, "Show the run"), said);
document.body.append(el("main", {}, form));
field.focus();
document.documentElement.dataset.ready = "login";
