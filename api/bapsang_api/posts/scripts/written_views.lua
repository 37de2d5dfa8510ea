-- Forget a claim whose views are committed, and say what the rows have now until the next run.
-- KEYS: views by post: claimed, written. ARGV: seconds after which it is forgotten, post id, views of its row, post id ...
redis.call('DEL', KEYS[1])
for i = 2, #ARGV, 2 do
  redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
end
redis.call('EXPIRE', KEYS[2], ARGV[1])
