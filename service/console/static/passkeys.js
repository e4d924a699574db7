// Passkeys: the only thing in the console that needs a script. A form with `data-passkey` asks the browser to make or use one,
// and sends what it answers in the field `response`.
"use strict";

const bytesOf = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));

const textOf = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

const withBytes = (wanted) => ({
  ...wanted,
  challenge: bytesOf(wanted.challenge),
  ...(wanted.user && { user: { ...wanted.user, id: bytesOf(wanted.user.id) } }),
  ...(wanted.excludeCredentials && {
    excludeCredentials: wanted.excludeCredentials.map((each) => ({ ...each, id: bytesOf(each.id) })),
  }),
});

const answerOf = (credential) => {
  const parts = ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"];
  const response = Object.fromEntries(
    parts.filter((part) => credential.response[part]).map((part) => [part, textOf(credential.response[part])]),
  );
  return JSON.stringify({ id: credential.id, rawId: textOf(credential.rawId), type: credential.type, response });
};

for (const form of document.querySelectorAll("form[data-passkey]")) {
  if (!window.PublicKeyCredential) {
    continue;
  }
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const publicKey = withBytes(JSON.parse(form.dataset.passkey));
    try {
      const made = publicKey.user ? navigator.credentials.create({ publicKey }) : navigator.credentials.get({ publicKey });
      form.elements.response.value = answerOf(await made);
      form.submit();
    } catch {
      form.querySelector("[role=alert]").textContent = "No passkey was used.";
    }
  });
}
