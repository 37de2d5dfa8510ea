"use strict";
// How a web client speaks to the API: the access token stays in memory, the refresh token in a cookie that no script sees.

// A page of another origin names the API's in its own address: `?api=http://bapsang.localhost:8880`.
const API = (new URLSearchParams(location.search).get("api") ?? "") + "/api/v1";
const client = { token: null };

class Refused extends Error {
  constructor(problem) {
    super(`${problem.status} ${problem.code}: ${problem.detail}`);
    this.code = problem.code;
  }
}

/** Sends one request, and when its token has expired (T002, no other code) a second time with a new one. */
async function request(method, path, body) {
  try {
    return await send(method, path, body);
  } catch (error) {
    if (error.code !== "T002") throw error;
    await refresh();
    return send(method, path, body);
  }
}

async function send(method, path, body) {
  const headers = client.token ? { Authorization: `Bearer ${client.token}` } : {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(API + path, { method, headers, body: JSON.stringify(body), credentials: "include" });
  const kind = answer.headers.get("Content-Type") ?? "";
  const content = kind.includes("json") ? await answer.json() : await answer.text();
  if (!answer.ok) throw new Refused(content);
  const token = answer.headers.get("Authorization");
  if (token) client.token = token.replace("Bearer ", "");
  return content;
}

/** The body `null` is what axios sends for `post(url, null)` with a JSON content type. */
function refresh() {
  return send("POST", "/auth/refresh", null);
}

/** Uploads a file by presigned URL and returns its key, null without a file. */
async function upload(file, category) {
  if (!file || file.size === 0) return null;
  const path = category === "TEMP_PROFILE_IMAGE" ? "/uploads/presign/temp" : "/uploads/presign";
  const named = { fileName: file.name, contentType: file.type, fileSizeByte: file.size, category };
  const { presignedUrl, objectKey, contentType } = await request("POST", path, named);
  const stored = await fetch(presignedUrl, { method: "PUT", headers: { "Content-Type": contentType }, body: file });
  if (!stored.ok) throw new Error(`upload: ${stored.status}`);
  return objectKey;
}
