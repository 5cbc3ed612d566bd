// Swagger UI on one tag's operations, with a token that is kept in this page's memory alone.
"use strict";
{
  const place = document.getElementById("viewer"), token = document.getElementById("token");
  const told = document.getElementById("told");
  // Names, headers and stops of the keyboard that the viewer leaves out: of what, the attribute, its value.
  const MISSING = [
    ["textarea.body-param__text", "aria-label", "Body"],
    ["pre.microlight", "tabindex", "0"],
    [".col_header", "role", "columnheader"],
  ];
  new MutationObserver(() => {
    for (const [what, name, value] of MISSING)
      for (const one of place.querySelectorAll(`${what}:not([${name}])`)) one.setAttribute(name, value);
    // Links within buttons, which do what the button does.
    for (const one of place.querySelectorAll("button a[href]")) one.removeAttribute("href");
  }).observe(place, {childList: true, subtree: true});
  const viewer = SwaggerUIBundle({
    spec: JSON.parse(document.getElementById("document").textContent),
    domNode: place,
    deepLinking: true,
    docExpansion: "list",
    defaultModelsExpandDepth: -1,
    tryItOutEnabled: true,
    persistAuthorization: false,
    validatorUrl: null,
    // Its colours can't be read on its ground.
    syntaxHighlight: {activated: false},
    oauth2RedirectUrl: location.origin + place.dataset.back,
    presets: [SwaggerUIBundle.presets.apis],
  });
  viewer.initOAuth({usePkceWithAuthorizationCodeGrant: true});

  const use = () => {
    const value = token.value.trim();
    viewer.preauthorizeApiKey("bearer", value);
    if (!value) viewer.authActions.logout(["bearer"]);
    told.textContent = value ? "Requests are sent with this token" : "Requests are sent as a guest";
  };
  document.getElementById("use").addEventListener("click", use);
  token.addEventListener("keydown", event => { if (event.key === "Enter") use(); });
}
