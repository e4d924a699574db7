// Ours: the reference, with its reader's key for as long as the tab is open. A key is never written to the disk.
const reference = document.querySelector("rapi-doc");
const KEPT = "rewards-api-key";
const SCHEME = "api_key";

reference.addEventListener("spec-loaded", () => {
  // The event comes before the description is the element's.
  setTimeout(() => {
    const kept = sessionStorage.getItem(KEPT);
    if (kept) reference.setApiKey(SCHEME, kept);
  });
});

addEventListener("pagehide", () => {
  const scheme = reference.resolvedSpec?.securitySchemes?.find((each) => each.securitySchemeId === SCHEME);
  const key = scheme?.finalKeyValue?.replace(/^Bearer /, "");
  if (key) sessionStorage.setItem(KEPT, key);
  else if (scheme) sessionStorage.removeItem(KEPT);
});

import("/docs/static/rapidoc.js").catch(() => {
  document.querySelector("#missing").hidden = false;
});
