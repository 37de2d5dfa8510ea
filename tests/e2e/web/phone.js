"use strict";
// The page of a web client that is being worked on, on a phone: neither API nor bucket have its origin.

const find = (selector) => document.querySelector(selector);

function onSubmit(form, action) {
  find(form).addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await action(new FormData(event.target));
    } catch (error) {
      find("#error").textContent = error.message;
    }
  });
}

onSubmit("#join", async (form) => {
  const { email, password, nickname } = Object.fromEntries(form);
  await request("POST", "/auth/users", { email, password, nickname, profileImageKey: null });
  await request("POST", "/auth/tokens", { email, password });
  find("#me").textContent = (await request("GET", "/users/me")).nickname;
});

onSubmit("#write", async (form) => {
  const images = [];
  for (const file of form.getAll("photos")) images.push({ key: await upload(file, "POST_IMAGE"), alt: file.name });
  const post = await request("POST", "/posts", { title: form.get("title"), content: "사진", images });
  await show(post.postId);
});

/** Reads the post again until each of its photos is made or refused. */
async function show(postId) {
  for (;;) {
    const { images } = (await request("GET", `/posts/${postId}`)).contentDetail;
    find("#photos").replaceChildren(...images.map(shown));
    if (images.every(({ state }) => state !== "PENDING")) return;
    await new Promise((later) => setTimeout(later, 500));
  }
}

/** Returns the element of a photo: that of before, unless its state is another one. */
function shown({ key, url, alt, state, width, height, placeholder, srcset }) {
  const before = find(`#photos [data-key="${key}"][data-state="${state}"]`);
  if (before) return before;
  const image = new Image(width ?? undefined, height ?? undefined);
  Object.assign(image.dataset, { key, state, placeholder: placeholder ?? "", srcset: srcset ?? "" });
  image.alt = alt;
  image.crossOrigin = "anonymous"; // or nobody could read its pixels
  image.sizes = "100vw";
  if (srcset) image.srcset = srcset;
  if (url) image.src = url;
  return image;
}

/** Returns what is seen of a photo in a few pixels: red, green, blue, row by row. */
function seen(image, columns, rows) {
  const canvas = Object.assign(document.createElement("canvas"), { width: columns, height: rows });
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, columns, rows);
  return Array.from(context.getImageData(0, 0, columns, rows).data).filter((_, at) => at % 4 !== 3);
}
