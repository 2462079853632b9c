// Data arrives in classic scripts that call evalkit.chunk: a page opened from disk may not fetch files.
"use strict";

const evalkit = (() => {
  const KEPT = 12; // chunks of some hundred kilobytes
  const loaded = new Map();
  const waiting = new Map();

  const address = (name) => {
    if (!/^(index|b\d+(-\d+)?)$/.test(name)) throw new TypeError(`no such data: ${name}`);
    return `data/${name}.js`;
  };
  // The pages' policy asks for trusted types where the browser knows them: nothing but these addresses is trusted.
  const policy = window.trustedTypes
    ? window.trustedTypes.createPolicy("evalkit", { createScriptURL: address })
    : { createScriptURL: address };

  function chunk(name, content) {
    loaded.set(name, content);
    const texts = [...loaded.keys()].filter((key) => key.includes("-"));
    if (texts.length > KEPT) loaded.delete(texts[0]);
  }

  function load(name) {
    if (loaded.has(name)) return Promise.resolve(loaded.get(name));
    if (!waiting.has(name)) {
      waiting.set(name, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = policy.createScriptURL(name);
        script.onload = () => resolve(loaded.get(name));
        script.onerror = () => reject(new Error(`data/${name}.js cannot be read: is the folder complete?`));
        document.head.append(script);
      }).finally(() => {
        waiting.delete(name);
      }));
    }
    return waiting.get(name);
  }

  return { chunk, load };
})();
