// Passkeys: asks the browser for one, or to make one, and tells the server what it said.

function token() {
  return document.querySelector("input[name=csrfmiddlewaretoken]").value;
}

async function send(url, body) {
  const headers = { "Content-Type": "application/json", "X-CSRFToken": token() };
  const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(body ?? {}) });
  const said = await answer.json();
  if (said.page) location.assign(said.page);
  if (!answer.ok) throw new Error(said.detail ?? answer.statusText);
  return said;
}

const ceremonies = {
  async register(button) {
    const options = PublicKeyCredential.parseCreationOptionsFromJSON(await send(button.dataset.begin));
    return navigator.credentials.create({ publicKey: options });
  },
  async answer(button) {
    const options = PublicKeyCredential.parseRequestOptionsFromJSON(await send(button.dataset.begin));
    return navigator.credentials.get({ publicKey: options });
  },
};

async function hold(button) {
  const told = button.parentElement.querySelector("[data-passkey-told]");
  told.textContent = "";
  button.disabled = true;
  try {
    const credential = await ceremonies[button.dataset.passkey](button);
    const next = new URLSearchParams(location.search).get("next");
    const url = next ? `${button.dataset.complete}?next=${encodeURIComponent(next)}` : button.dataset.complete;
    const said = await send(url, credential.toJSON());
    if (said.redirect_url) location.assign(said.redirect_url);
    else location.reload();
  } catch (error) {
    told.textContent = error.name === "NotAllowedError" ? button.dataset.cancelled : error.message;
  } finally {
    button.disabled = false;
  }
}

if (globalThis.PublicKeyCredential?.parseCreationOptionsFromJSON) {
  for (const button of document.querySelectorAll("[data-passkey]")) {
    button.hidden = false;
    button.addEventListener("click", () => hold(button));
  }
}
