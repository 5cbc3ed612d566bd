// Passkeys: signing in with one, and adding one. Without this script their forms stay hidden.
// A form with data-passkey ("get" or "create") asks its data-begin for options, then sends what the device gave.
const isKnown = window.PublicKeyCredential && PublicKeyCredential.parseRequestOptionsFromJSON && navigator.credentials;

for (const form of isKnown ? document.querySelectorAll("form[data-passkey]") : []) {
  const failed = form.querySelector(".failed");
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    failed.hidden = true;
    try {
      const proof = new URLSearchParams({proof: form.elements.proof.value});
      const answer = await fetch(form.dataset.begin, {method: "POST", body: proof});
      if (!answer.ok) throw new Error(answer.status);
      const {flow, publicKey} = await answer.json();
      const isNew = form.dataset.passkey === "create";
      const credential = isNew
        ? await navigator.credentials.create({publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(publicKey)})
        : await navigator.credentials.get({publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(publicKey)});
      form.elements.flow.value = flow;
      form.elements.credential.value = JSON.stringify(credential.toJSON());
      form.submit();
    } catch {
      failed.hidden = false;
    }
  });
}
