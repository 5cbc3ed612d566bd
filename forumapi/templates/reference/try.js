// Swagger UI on one tag's operations, with a token that is kept in this page's memory alone.
"use strict";
{
  const place = document.getElementById("viewer"), token = document.getElementById("token");
  const told = document.getElementById("told");
  if (matchMedia("(prefers-color-scheme: dark)").matches) document.documentElement.classList.add("dark-mode");
  const viewer = SwaggerUIBundle({
    spec: JSON.parse(document.getElementById("document").textContent),
    domNode: place,
    deepLinking: true,
    docExpansion: "list",
    defaultModelsExpandDepth: -1,
    tryItOutEnabled: true,
    persistAuthorization: false,
    validatorUrl: null,
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
