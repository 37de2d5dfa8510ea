-- Rate limiting by the generic cell rate algorithm: a key holds the time until which its requests are "paid".
-- KEYS: one per rule. ARGV: now (ms), 1 to refuse / 0 to count whatever comes, then per key: ms a request costs, ms that
-- may be owed at most, requests, -1 to give one back.
-- Returns 1 when admitted, else 0, then per key how far ahead of now it is (ms). A refused request costs nothing.
local now, refusing = tonumber(ARGV[1]), ARGV[2] == '1'
local ahead, after, admitted = {}, {}, 1
for i, key in ipairs(KEYS) do
  local cost = tonumber(ARGV[3 * i]) * tonumber(ARGV[3 * i + 2])
  local most = tonumber(ARGV[3 * i + 1])
  ahead[i] = math.max(0, tonumber(redis.call('GET', key) or 0) - now)
  after[i] = math.max(0, ahead[i] + cost)
  if after[i] > most then
    if refusing then admitted = 0 else after[i] = most end
  end
end
local answer = {admitted}
for i, key in ipairs(KEYS) do
  if admitted == 1 then
    ahead[i] = after[i]
    redis.call('SET', key, string.format('%.0f', now + after[i]), 'PX', math.ceil(after[i]) + 1000)
  end
  answer[i + 1] = math.ceil(ahead[i])
end
return answer
