// Passkeys, where the browser has them (WebAuthn level 3).
//
//   form data-passkey="make|ask" data-options=url
//       hidden until it is known that the browser can; when it is sent, what url says
//       is asked of the browser, and the answer goes along in the field "answer"
"use strict";
(() => {
  if (!window.PublicKeyCredential || !navigator.credentials) return;
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const known = (list) => (list || []).map((c) => ({ ...c, id: bytes(c.id) }));

  async function make(o) {
    const made = await navigator.credentials.create({ publicKey: { ...o, challenge: bytes(o.challenge), user: { ...o.user, id: bytes(o.user.id) }, excludeCredentials: known(o.excludeCredentials) } });
    const r = made.response;
    return { clientDataJSON: text(r.clientDataJSON), attestationObject: text(r.attestationObject), transports: r.getTransports?.() || [], of: made };
  }

  async function ask(o) {
    const given = await navigator.credentials.get({ publicKey: { ...o, challenge: bytes(o.challenge), allowCredentials: known(o.allowCredentials) } });
    const r = given.response;
    return { clientDataJSON: text(r.clientDataJSON), authenticatorData: text(r.authenticatorData), signature: text(r.signature), userHandle: r.userHandle ? text(r.userHandle) : undefined, of: given };
  }

  async function send(form) {
    const told = form.querySelector("[data-told]");
    told.textContent = "";
    try {
      const options = await fetch(form.dataset.options, { method: "POST", headers: { Accept: "application/json" }, body: new URLSearchParams(new FormData(form)) });
      const begun = await options.json();
      if (begun.again) {
        location.href = begun.again;
        return;
      }
      if (!options.ok) {
        told.textContent = begun.text;
        return;
      }
      const { of, ...response } = await (form.dataset.passkey === "make" ? make : ask)(begun.publicKey);
      form.elements.answer.value = JSON.stringify({ state: begun.state, credential: {
        id: of.id, rawId: text(of.rawId), type: of.type, authenticatorAttachment: of.authenticatorAttachment || undefined, clientExtensionResults: of.getClientExtensionResults(), response } });
      form.submit();
    } catch (e) {
      told.textContent = e.name === "InvalidStateError" ? "This device has a passkey for you already." : "Nothing was taken: the browser was not given a passkey. Try again.";
    }
  }

  document.querySelectorAll("form[data-passkey]").forEach((form) => {
    form.hidden = false;
    form.addEventListener("submit", (e) => {
      e.preventDefault();
      e.stopPropagation();
      send(form);
    });
  });
})();
