"""The pages that the law asks for: terms of service and privacy policy, in Korean."""
