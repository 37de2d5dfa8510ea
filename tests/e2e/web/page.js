"use strict";
// The page: forms that call the client, and a post that is read again from the API after every change.

const find = (selector) => document.querySelector(selector);
let shown = sessionStorage.getItem("post");

/** Runs an action of the user's; what is refused is told on the page. */
async function act(action) {
  find("#error").textContent = "";
  try {
    await action();
  } catch (error) {
    find("#error").textContent = error.message;
  }
}

function onSubmit(form, action) {
  find(form).addEventListener("submit", (event) => {
    event.preventDefault();
    act(() => action(new FormData(event.target)));
  });
}

async function showMe() {
  find("#me").textContent = client.token ? (await request("GET", "/users/me")).nickname : "손님";
}

async function showPost() {
  find("#post").hidden = !shown;
  if (!shown) return;
  const post = await request("GET", `/posts/${shown}`);
  const comments = await request("GET", `/posts/${shown}/comments`);
  // textContent throughout: the API never escapes, the page that shows it does.
  find("#post h1").textContent = post.title;
  find("#post address span").textContent = post.author.nickname;
  find("#post address img").src = post.author.authorProfileUrl ?? "";
  find("#post p").textContent = post.contentDetail.content;
  find("#photo").src = post.contentDetail.postImageUrl ?? "";
  find("#like span").textContent = post.stats.likeCount;
  find("#like").setAttribute("aria-pressed", post.stats.isLiked);
  const items = comments.items.map(({ content }) => Object.assign(document.createElement("li"), { textContent: content }));
  find("#post ul").replaceChildren(...items);
  const pictures = [post.author.authorProfile, ...post.contentDetail.images];
  if (pictures.some((picture) => picture?.state === "PENDING")) setTimeout(() => act(showPost), 500);
}

onSubmit("#signup", async (form) => {
  const profileImageKey = await upload(form.get("picture"), "TEMP_PROFILE_IMAGE");
  const { email, password, nickname } = Object.fromEntries(form);
  await request("POST", "/auth/users", { email, password, nickname, profileImageKey });
  find("#me").textContent = "가입했습니다";
});

onSubmit("#login", async (form) => {
  await request("POST", "/auth/tokens", { email: form.get("email"), password: form.get("password") });
  await showMe();
});

onSubmit("#write", async (form) => {
  const postImageKey = await upload(form.get("photo"), "POST_IMAGE");
  const post = await request("POST", "/posts", { title: form.get("title"), content: form.get("content"), postImageKey });
  shown = post.postId;
  sessionStorage.setItem("post", shown);
  await showPost();
});

onSubmit("#comment", async (form) => {
  await request("POST", `/posts/${shown}/comments`, { content: form.get("content"), parentId: null });
  await showPost();
});

find("#like").addEventListener("click", () => act(async () => {
  await request("POST", `/posts/${shown}/likes`);
  await showPost();
}));

find("#logout").addEventListener("click", () => act(async () => {
  await request("POST", "/auth/logout");
  client.token = null;
  await Promise.all([showMe(), showPost()]);
}));

// A page that is opened again has no token, but perhaps the cookie: E401-1 only says that nobody is logged in.
act(async () => {
  await refresh().catch((error) => { if (error.code !== "E401-1") throw error; });
  await Promise.all([showMe(), showPost()]);
});
