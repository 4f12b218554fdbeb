// Draws the API's operations with Swagger UI, in the page's colours.
const place = document.getElementById("swagger-ui");
const chosen = document.documentElement.dataset.theme;
const prefersDark = window.matchMedia("(prefers-color-scheme: dark)").matches;
document.documentElement.classList.toggle("dark-mode", chosen ? chosen === "dark" : prefersDark);

window.SwaggerUIBundle({
  url: place.dataset.schema,
  domNode: place,
  deepLinking: true,
  // Its default asks another host.
  validatorUrl: null,
  presets: [window.SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
});
