/* Swagger UI on the API's own description: everything from this server, nothing inline. */
const place = document.getElementById("api-docs");

window.SwaggerUIBundle({
  url: place.dataset.schema,
  domNode: place,
  presets: [window.SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  deepLinking: true,
  docExpansion: "list",
  requestInterceptor(request) {
    // Whoever is signed in may try things out with their session; a token in "Authorize" wins over it.
    if (!request.loadSpec && request.method !== "GET" && new URL(request.url, location.href).origin === location.origin) {
      request.headers["X-CSRFToken"] = place.dataset.csrf;
    }
    return request;
  },
});
