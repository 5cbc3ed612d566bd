// Lets the browser keep what was read, so that it can be read without a network: /service-worker.js does it.
navigator.serviceWorker?.register("/service-worker.js").catch(() => { /* A private window may not. */ });
